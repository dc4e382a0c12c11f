"""The SQLite keeper of the journal, and the tables that people query. SQLite is named here alone."""

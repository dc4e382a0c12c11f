"""The ``lease`` policy: a delivered, uncontacted lead is still in the pool.

Delivery is a lease, not a transfer. Not one score per rep is kept, but the probability of each reason
for silence: free, in side work, still handling, lagging, absent. From it follow who gets a lead, when
a lead is moved on, and whose flow is slowed until the rep answers again.
"""

from policies.lease.policy import Lease

__all__ = ["Lease"]

"""What each key of the configuration means: type -> key -> text. A key without one is an error."""

from __future__ import annotations

from typing import Final

_CALL: Final = "a request like `assign`"

MEANINGS: Final[dict[str, dict[str, str]]] = {
    "StoreSettings": {
        "path": "The file of the store. Its folder is made.",
        "synchronous": "`full`: a commit survives a power loss. `normal`: it survives a crash of the "
        "daemon; faster on slow disks.",
    },
    "MqttSettings": {
        "host": "The broker.",
        "port": "Its port; 8883 is usual with TLS.",
        "topic_prefix": "First level of every topic.",
        "client_id": "The broker keeps our MQTT session under this name. Do not change it on a running "
        "floor, and give each daemon its own.",
        "username": "Who we are to the broker.",
        "password_file": "The file that holds the password.",
        "password_env": "The environment variable that holds it; one of the two.",
        "tls": "`{ ca_file, cert_file, key_file }`; an empty table trusts the system's authorities.",
        "max_payload_bytes": "A larger message becomes a dead letter.",
        "results": "Whether vendors get a reply on `leads/in/{vendor}/result`.",
        "rep_topics": "Whether rep desktops get their leads by MQTT. Those that no dialer gets "
        "(without a phone, test leads) they get in any case.",
        "assign_batch": "Above 1, what waits for the dialer leaves as arrays of up to so many.",
        "protocol": "`auto` tries MQTT 5 first, then 3.1.1.",
    },
    "MqttTls": {
        "ca_file": "The authority that signed the broker's certificate; without it, the system's.",
        "cert_file": "Our certificate, where the broker asks for one.",
        "key_file": "Its key; the two go together.",
    },
    "HttpSettings": {
        "host": "Where to listen. Any address but loopback needs tokens.",
        "port": "Its port; 0 takes a free one.",
        "tls": "`{ cert_file, key_file }`.",
        "tokens": "`[[http.tokens]]`, see below.",
        "max_body_bytes": "A larger body is answered with 413.",
    },
    "HttpTls": {"cert_file": "Our certificate, PEM.", "key_file": "Its key, PEM."},
    "TokenSettings": {
        "name": "How the journal calls whoever uses it.",
        "role": "What it may do, see [HTTP](http.md).",
        "token_file": "The file that holds the token.",
        "token_env": "The environment variable that holds it; one of the two.",
        "vendor": "Role vendor: the only vendor it speaks for; without it, the one called `name`.",
        "rep": "Role rep: the only rep it speaks for; without it, the one called `name`.",
    },
    "FlowPlan": {
        "policy": "The selection policy, see [policies](policies.md).",
        "first_contact_seconds": "The speed-to-contact standard: a lead counts as met when it is "
        "contacted within this time.",
        "lease_seconds": "A lead that was not contacted comes back after this at the latest. The `lease` "
        "policy takes it back earlier where another rep is the better bet.",
        "offline_grace_seconds": "After this an offline rep's uncontacted leads come back.",
        "visible_throttle": "true: slowing is shown, with its reason and what ends it. false: the soft "
        "form, see [flow control](flow-control.md).",
        "time_scale": "Every duration of this table is divided by it: at 60 an hour passes in a minute.",
        "window": "Open leads that a rep may have at a time; else what the policy needs: one, or 1,000 for "
        "the [baselines](policies.md#baselines).",
        "pace_seconds": "Least time between two leads of one rep.",
        "wrap_up_seconds": "Time after an ended call in which a rep gets nothing.",
        "call_limit_seconds": "A call of which no end is heard counts as ended after this.",
        "waiting_limit_seconds": "A lead that waits longer goes to the exception desk.",
        "working_limit_seconds": "So does one in work of which nothing more is heard.",
        "recycle_seconds": "A lead with the status `not_ready` waits again after this.",
        "pool_limit": "Waiting leads that a pool holds; beyond it vendors are told to try later.",
        "accept_claims": "true: a rep's own click counts as a contact. For a floor without a dialer's "
        "records.",
        "clock_start": "`received` or `submitted`: when the speed-to-contact clock starts. A vendor's "
        "time that cannot be right is not used.",
    },
    "TeamPlan": {
        "id": "The team's name.",
        "manager": "Who leads it.",
        "timezone": "An IANA name. Checked, and used by nothing yet: no rule goes by the hour of a team.",
    },
    "RepPlan": {
        "id": "The rep's id in every message.",
        "team": "The rep's team.",
        "name": "How people call the rep; sentences use it.",
        "skills": "What the rep can do; pools may ask for it.",
        "weight": "Share of the leads under the policies `fair` and `weighted`.",
        "window": "This rep's own; else that of `[flow]`.",
        "pace_seconds": "This rep's own; else that of `[flow]`.",
    },
    "PoolPlan": {
        "id": "The pool's name; metrics call it `queue`.",
        "teams": "Members are these teams' reps ...",
        "reps": "... and these reps. With neither, every rep.",
        "skills": "A member must have all of them.",
        "policy": "This pool's own; else that of `[flow]`.",
        "dialer": '`"mqtt"` or the id of one of the `[[dialers]]`; without it MQTT, where there is one.',
    },
    "VendorSettings": {
        "id": "The name in its topic or URL.",
        "token_file": "The file that holds its HTTP token.",
        "token_env": "The environment variable that holds it; one of the two.",
        "country": "Country of phone numbers without a country code.",
        "format": "What it sends over HTTP where no content type tells: `native` is our JSON, `form` is "
        "form-encoded. Over MQTT leads are JSON.",
    },
    "WebhookPlan": {
        "id": "The dialer's name, for `[[pools]] dialer`.",
        "assign": "The request that hands a lead over, see below.",
        "revoke": f"The request that takes it back: {_CALL}. Without it revocations are not sent.",
        "success_status": "HTTP statuses that mean taken.",
        "success_body": "A regular expression that the answer must contain as well.",
        "duplicate_body": "One that means taken before, whatever the status.",
        "secret_env": "An environment variable; templates know its value as `{{ secret }}`.",
        "secret_file": "A file instead.",
        "timeout_seconds": "For the whole request.",
        "retry_first_seconds": "Pause before the second attempt; it doubles each time ...",
        "retry_max_seconds": "... up to this.",
        "max_attempts": "After so many refusals (400, 422, ...) a message is given up for a human. Failures "
        "of the dialer itself (5xx, no connection), and answers that any message would get (3xx, 401, 404, "
        "...), are tried for ever, see below.",
        "concurrency": "Requests under way at once.",
        "rate_per_second": "Most requests a second; 0 is no limit.",
        "breaker_failures": "Failures in a row after which the dialer counts as down ...",
        "breaker_seconds": "... for this long; then one trial request.",
        "unknown_outcome": "When nobody knows whether a request was taken: `repeat` it (for a dialer that "
        "drops repeats by their key), `lookup` first, or `hold` it for a human, see below.",
        "lookup": f"The request that asks: {_CALL}.",
        "lookup_found": "A regular expression of its answer that means taken.",
    },
    "WebhookCall": {
        "url": "A Jinja2 template over the message's fields, as are all texts here.",
        "method": "The HTTP method.",
        "headers": "Header -> template.",
        "body": "Empty: the message itself, as JSON.",
    },
    "MetricsSettings": {
        "per_rep": "Which reps have series of their own: all, those held back, or none.",
    },
    "StandardsSettings": {
        "open_hours_per_month": "Hours a month in which leads can be contacted: 22 days of 10 hours.",
        "open_hours_per_day": "The same for one day.",
        "speed_to_contact": "`[standards.speed_to_contact]`, see below.",
    },
    "SpeedToContactSettings": {
        "target": "Share of the leads that are to be contacted within `[flow] first_contact_seconds`. "
        "What is left to 1 is the month's budget of misses.",
    },
    "AlertSettings": {
        "unassigned_seconds": "A lead that waits longer is an alert.",
        "outbox_seconds": "So is a message that its target has not taken for so long ...",
        "exception_seconds": "... and a case that nobody has decided for so long.",
        "least_leads": "The share of missed leads and a vendor's silence are judged only where there "
        "were more leads than this.",
        "runbooks": "Address of the page to which each alert links: where you put the `runbooks.md` that "
        "`distributor init` writes, such as `https://wiki.example/runbooks`.",
    },
    "LogSettings": {
        "format": "One JSON object a line, or text for eyes.",
        "level": "The least that is written.",
    },
}

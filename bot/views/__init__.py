"""Messages for people, made from values. Pure: no client, no Redis, no clock."""

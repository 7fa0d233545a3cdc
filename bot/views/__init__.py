"""What people see: values in, a Message out. Pure: no client, no Redis, no clock."""

"""The cluster of one machine: replicas as processes behind one port, with an autoscaler."""

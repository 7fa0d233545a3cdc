"""The cluster of this machine: replicas as processes behind one port, with an autoscaler."""

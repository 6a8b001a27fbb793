"""Many clusters by Ansible: the inventory checked, the playbooks run, the outcome in one table."""

"""Builds what is handed out: the Ansible collection, the wheel, the documentation. All of it goes into `dist/`."""

"""feishu_project."""

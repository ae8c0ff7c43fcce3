"""What people and other programs wrote: any content is read, or is a UserError that says where and why"""

"""The commands, as DataLad runs them"""

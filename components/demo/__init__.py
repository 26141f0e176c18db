"""Draws demo tranches: pictures of people who sit, stand and lie, with true labels.

They show that the machinery works, not clinical accuracy.
"""

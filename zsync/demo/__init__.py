"""The whole story on real data: make products, publish them, read them back, change them, publish again."""

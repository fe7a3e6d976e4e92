"""GitHub as a host of pull requests: authentication, requests, reading, publishing."""

"""Every word the product posts, cleaned and signed: comments, check runs, replies, the SARIF export."""

"""Questions to answers: triage, decision, quotes with citations."""

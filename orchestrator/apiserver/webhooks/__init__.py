"""Programs of its users that this server asks: about writes (admission), and for other versions (conversion).

`client.py` speaks HTTPS with them. `registry.py` knows which there are, `matching.py` which a write concerns,
`review.py` what they are sent and may answer, `hooks.py` in which order they are asked and what becomes of the object;
`policies.py` judges by expressions instead, without asking anybody; `conversion.py` is apart from these.
Source: apiserver pkg/admission/plugin/webhook.
"""

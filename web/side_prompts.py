"""Prompts that chat clients send on their own: for a title, tags, follow-ups, search queries and the like.

They come to the same address as the questions, as if the user had written them. Passages would be a wrong answer to them, so
they are recognised and answered with nothing. A rule never looks for a subject, only for a frame that people do not write: how
the prompt begins, together with what it demands of the form of the reply. What no rule knows is a question.
"""

import re

# Open WebUI: "### Task:" opens the prompt, the conversation stands in a tag of its own or the reply must be JSON.
_TASK = re.compile(r"\s*### Task:")
_TASK_FRAME = re.compile(r"<chat_history>|^### Output:?.{0,200}\bJSON\b", re.MULTILINE | re.DOTALL)
# A question wrapped in documents by the client's own retrieval begins like the prompts above.
_HISTORY, _CONTEXT, _CONTEXT_END = "<chat_history>", "<context>", "</context>"
_QUERY, _QUERY_END = "<user_query>", "</user_query>"
# Characters of a prompt that are read: its frame stands before the conversation, which may be long.
_HEAD = 8000

_TALK = r"(?:conversation|chat|chat history|dialogue|discussion|thread|session|user query|user message|first message)"
_BEGIN = r"\s*(?:please\s+)?(?:based on (?:the|our|this) [^.\n]{0,60}[,:]\s*)?(?:please\s+)?"
_FORM = re.compile(
    r"\b(?:\d+|two|three|four|five|six|seven|eight|ten)[\s-]*(?:(?:to|-|–|or)\s*(?:\d+|\w+)[\s-]*)?(?:words?|characters?|chars?)\b"
    r"|\b(?:only|just)\s+(?:return|give|respond|reply|provide|output|answer)\b|\b(?:return|respond|reply|output)\s+only\b"
    r"|\bnothing else\b|\b(?:no|without(?: any)?|do not use|don't use)\s+(?:quotes|quotation|punctuation|lead-in|emojis?)\b"
    r"|\btitle case\b|\bJSON\b|\bpunctuation\b",
    re.IGNORECASE,
)
_TITLE = re.compile(
    _BEGIN + r"(?:generate|write|provide|create|give|suggest|summari[sz]e|come up with|produce|return|analy[sz]e|detect|name)\b"
    rf"(?:[^.\n]{{0,140}}\b(?:title|name)\b[^.\n]{{0,80}}\b{_TALK}\b"
    rf"|[^.\n]{{0,60}}\b{_TALK}\b[^.\n]{{0,60}}\s(?:a|an|one)\s[^.\n]{{0,60}}\b(?:title|name)\b"
    rf"|\s+(?:this|the|our)\s+{_TALK}\s+and\s+provide:[\s\S]{{0,200}}\btitle\b"
    rf"|\s+(?:this|the|our)\s+{_TALK}\s+(?:in|with|using)\b)",
    re.IGNORECASE,
)
# The first words of prompts that need no second sign.
_OPENINGS = tuple(
    re.compile(r"\s*" + text, re.IGNORECASE | re.DOTALL)
    for text in (
        r"your task is to reflect the speaker's likely facial expression\b",
        r"you have been provided with a set of responses from various models to the latest user query\b",
        rf"summari[sz]e (?:the|our|this) {_TALK}\b[^\n]{{0,80}}\bto use as a prompt for future context\b",
        rf"{_BEGIN}(?:suggest|generate|propose|provide|write)\b[^.\n]{{0,60}}\bfollow[- ]?up (?:questions|prompts)\b"
        rf"[^.\n]{{0,160}}\b(?:this|the|our) {_TALK}\b",
        r"(?:based on|analy[sz]e|given) the (?:chat history|conversation)\b[^\n]{0,160}\bsearch(?: is necessary| quer[yi])",
        r"available tools:.*\byour task is to choose and return the correct tool\(s\)",
        r"you are (?:a|an) (?:title generator|autocompletion system)\b",
        rf"(?:-\s*)?you will generate a (?:short|concise) title based on the (?:first message|{_TALK})\b",
    )
)
# What Open WebUI calls its tasks in a request's metadata.
_TASK_NAMES = re.compile(
    r"(?:title|tags|emoji|query|image_prompt|autocomplete|follow_up|moa_response)(?:_generation)?|function_calling"
)


def is_side_prompt(text: str) -> bool:
    """Say whether a text is a chat client's own prompt, not a person's question."""
    head = text[:_HEAD]
    if _TASK.match(head):
        return bool(_TASK_FRAME.search(head)) and not wraps_question(text)
    if any(opening.match(head) for opening in _OPENINGS):
        return True
    return bool(_TITLE.match(head) and _FORM.search(head))


def is_side_task(name: object) -> bool:
    """Say whether a request's ``metadata.task`` names one of a chat client's own tasks."""
    return isinstance(name, str) and _TASK_NAMES.fullmatch(name) is not None


def wraps_question(text: str) -> bool:
    """Say whether a text is a question that the client has put documents around."""
    frame = text[:_HEAD].partition(_HISTORY)[0]  # a conversation may itself hold a question with documents around it
    return bool(_TASK.match(frame)) and (_QUERY in frame or _CONTEXT in frame)


def unwrapped(text: str) -> str:
    """Return the user's own words of a question that the client has put documents around; any other text as it is."""
    if not wraps_question(text):
        return text
    tagged = text.rpartition(_QUERY)[2].partition(_QUERY_END)[0] if _QUERY in text else ""
    return tagged.strip() or text.rpartition(_CONTEXT_END)[2].strip() or text

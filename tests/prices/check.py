#!/usr/bin/env python3
"""What an answer costs, computed a second time.

Nothing is shared with the gateway but the rules, which are OpenRouter's:

* prices of tokens are dollars per million, those of a request, an image and a search dollars each;
* an absent price of a special token is the plain one's; a cache write for an hour costs what one
  for five minutes costs;
* an override applies when the prompt is longer than `min_prompt_tokens` and the minute lies in
  [`utc_start`, `utc_end`), which may wrap; of several the later wins key by key;
* sound is part of what is not cached, reasoning part of the answer and counted before its sound;
* the sum is exact, the caller's share of it is taken, and one rounding (half up) gives nano-dollars;
* amounts end at the largest signed 64-bit number.

Without arguments every case of cases.jsonl is recomputed. `--write` makes the file anew.
"""

import json
import random
import sys
from fractions import Fraction
from math import floor
from pathlib import Path

CASES = Path(__file__).with_name("cases.jsonl")
MILLION = 10**6
NANO = 10**9
LARGEST = 2**63 - 1
TOKENS = ("prompt", "completion", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning",
          "audio_prompt", "audio_completion")
UNITS = ("request", "image", "search")


def minute_of(text):
    return int(text[:2]) * 60 + int(text[2:])


def applies(over, prompt, minute):
    if "min_prompt_tokens" in over and not prompt > over["min_prompt_tokens"]:
        return False
    if "utc_start" in over:
        start, end = minute_of(over["utc_start"]), minute_of(over["utc_end"])
        inside = start <= minute < end if start < end else minute >= start or minute < end
        return inside
    return True


def in_force(prices, prompt, minute):
    """The prices per single unit as fractions; absent ones are absent."""
    texts = {k: v for k, v in prices.items() if k != "overrides"}
    for over in prices.get("overrides", []):
        if applies(over, prompt, minute):
            texts.update({k: v for k, v in over.items() if k in TOKENS})
    return {k: Fraction(v) / (MILLION if k in TOKENS else 1) for k, v in texts.items()}


def charge(case):
    usage = {k: case["usage"].get(k, 0) for k in (
        "prompt", "cache_read", "cache_write_5m", "cache_write_1h", "audio_prompt", "completion",
        "reasoning", "audio_completion", "images", "searches")}
    price = in_force(case["prices"], usage["prompt"], case["minute"])
    plain_in, plain_out = price["prompt"], price["completion"]
    five = price.get("cache_write_5m", plain_in)
    cached = usage["cache_read"] + usage["cache_write_5m"] + usage["cache_write_1h"]
    fresh = max(usage["prompt"] - cached, 0)
    sound_in = min(usage["audio_prompt"], fresh)
    thought = min(usage["reasoning"], usage["completion"])
    sound_out = min(usage["audio_completion"], usage["completion"] - thought)
    lines = [
        (plain_in, fresh - sound_in),
        (price.get("audio_prompt", plain_in), sound_in),
        (price.get("cache_read", plain_in), usage["cache_read"]),
        (five, usage["cache_write_5m"]),
        (price.get("cache_write_1h", five), usage["cache_write_1h"]),
        (plain_out, usage["completion"] - thought - sound_out),
        (price.get("reasoning", plain_out), thought),
        (price.get("audio_completion", plain_out), sound_out),
        (price.get("request", Fraction(0)), 1),
        (price.get("image", Fraction(0)), usage["images"]),
        (price.get("search", Fraction(0)), usage["searches"]),
    ]
    exact = sum(unit * count for unit, count in lines)
    exact *= Fraction(case.get("share_bp", 10_000), 10_000)
    return min(floor(exact * NANO + Fraction(1, 2)), LARGEST)


# The cases: real price lists of 2026, and what is hard about adding up.
SONNET = {"prompt": "3", "completion": "15", "cache_read": "0.3", "cache_write_5m": "3.75",
          "cache_write_1h": "6"}
SONNET_LONG = {**SONNET, "overrides": [
    {"min_prompt_tokens": 200_000, "prompt": "6", "completion": "22.5", "cache_read": "0.6",
     "cache_write_5m": "7.5", "cache_write_1h": "12"}]}
GEMINI = {"prompt": "1.25", "completion": "10", "cache_read": "0.125", "audio_prompt": "1.25",
          "overrides": [{"min_prompt_tokens": 200_000, "prompt": "2.5", "completion": "15",
                         "cache_read": "0.25"}]}
FLASH = {"prompt": "0.3", "completion": "2.5", "cache_read": "0.03", "audio_prompt": "1"}
GPT_AUDIO = {"prompt": "2.5", "completion": "10", "audio_prompt": "40", "audio_completion": "80"}
NANO5 = {"prompt": "0.05", "completion": "0.4", "cache_read": "0.005"}
SONAR = {"prompt": "3", "completion": "15", "request": "0.006", "search": "0.005"}
DEEP = {"prompt": "2", "completion": "8", "reasoning": "3", "search": "0.005"}
OFFPEAK = {"prompt": "0.27", "completion": "1.1", "cache_read": "0.07", "overrides": [
    {"utc_start": "1630", "utc_end": "0030", "prompt": "0.135", "completion": "0.55",
     "cache_read": "0.035"}]}
BOTH = {"prompt": "1", "completion": "2", "overrides": [
    {"min_prompt_tokens": 1_000, "prompt": "3", "completion": "4"},
    {"utc_start": "0900", "utc_end": "1700", "prompt": "0.5"},
    {"min_prompt_tokens": 100_000, "utc_start": "1200", "utc_end": "1300", "completion": "9"}]}
PICTURE = {"prompt": "0.3", "completion": "2.5", "image": "0.039"}
FREE = {"prompt": "0", "completion": "0"}
LISTS = {"sonnet": SONNET, "sonnet-long": SONNET_LONG, "gemini": GEMINI, "flash": FLASH,
         "gpt-audio": GPT_AUDIO, "nano": NANO5, "sonar": SONAR, "deep": DEEP, "offpeak": OFFPEAK,
         "both": BOTH, "picture": PICTURE, "free": FREE}


def cases():
    made = []

    def add(name, prices, usage, minute=720, share_bp=None):
        case = {"name": name, "prices": prices, "minute": minute, "usage": usage}
        if share_bp is not None:
            case["share_bp"] = share_bp
        made.append(case)

    for name, prices in LISTS.items():
        for prompt, completion in [(0, 0), (1, 0), (0, 1), (1, 1), (1_234, 567), (2_000_000, 1),
                                   (2_000_000, 2_000_000)]:
            add(f"{name}: {prompt} in, {completion} out", prices,
                {"prompt": prompt, "completion": completion})
    # Rounding at one token: a tenth, just below, at and just above half a nano-dollar.
    for text in ["0.0001", "0.000499", "0.000499", "0.0005", "0.000501", "0.000999", "0.001",
                 "0.001499", "0.0015", "0.001501", "0.000001", "0.0025", "0.0035"]:
        for tokens in [1, 3, 999_999, 2_000_000]:
            add(f"rounding: {tokens} at {text}", {"prompt": text, "completion": "0"},
                {"prompt": tokens})
            add(f"rounding out: {tokens} at {text}", {"prompt": "0", "completion": text},
                {"completion": tokens})
    # One rounding, not one for each kind: four parts below half make one.
    add("four parts of 0.4 nano-dollars", {"prompt": "0.0004", "completion": "0.0004",
        "cache_read": "0.0004", "reasoning": "0.0004"},
        {"prompt": 2, "cache_read": 1, "completion": 2, "reasoning": 1})
    # The cache.
    for name in ["sonnet", "sonnet-long", "gemini", "offpeak", "nano", "both"]:
        for read, five, hour in [(900, 0, 0), (0, 900, 0), (0, 0, 900), (300, 300, 300),
                                 (1_000, 0, 0), (2_000, 0, 0), (600, 300, 300)]:
            add(f"{name}: cache {read}/{five}/{hour}", LISTS[name],
                {"prompt": 1_000, "cache_read": read, "cache_write_5m": five,
                 "cache_write_1h": hour, "completion": 10})
    # Tiers at their edges; what is cached counts as length.
    for prompt in [199_999, 200_000, 200_001, 2_000_000]:
        for read in [0, 150_000]:
            for name in ["sonnet-long", "gemini"]:
                add(f"{name}: tier at {prompt}, {read} cached", LISTS[name],
                    {"prompt": prompt, "cache_read": read, "completion": 1_000})
    # Hours at their edges, over midnight, and together with a length.
    for minute in [0, 29, 30, 989, 990, 1_439]:
        add(f"offpeak at minute {minute}", OFFPEAK,
            {"prompt": 1_000, "cache_read": 100, "completion": 100}, minute)
    for minute in [539, 540, 719, 720, 779, 780, 1_019, 1_020]:
        for prompt in [1_000, 1_001, 100_001]:
            add(f"both at minute {minute}, {prompt} in", BOTH,
                {"prompt": prompt, "completion": 7}, minute)
    # Reasoning, sound, pictures, searches.
    for completion, reasoning in [(100, 0), (100, 40), (100, 100), (100, 140), (0, 5)]:
        add(f"deep: {reasoning} of {completion} thought", DEEP,
            {"prompt": 10, "completion": completion, "reasoning": reasoning, "searches": 3})
    for sound_in, sound_out, thought in [(0, 0, 0), (50, 0, 0), (0, 30, 0), (50, 30, 20),
                                         (200, 90, 0), (200, 90, 50), (7, 100, 100)]:
        usage = {"prompt": 100, "cache_read": 20, "audio_prompt": sound_in, "completion": 100,
                 "audio_completion": sound_out, "reasoning": thought}
        add(f"gpt-audio: {sound_in}/{sound_out}/{thought}", GPT_AUDIO, usage)
        add(f"flash: {sound_in}/{sound_out}/{thought}", FLASH, usage)
    for images in [0, 1, 4, 1_000]:
        add(f"{images} pictures", PICTURE, {"prompt": 50, "completion": 1_290, "images": images})
    for searches in [0, 1, 12]:
        add(f"{searches} searches", SONAR, {"prompt": 9, "completion": 300, "searches": searches})
    # What the caller's share does: a discount, and the fee on somebody's own key.
    for share in [9_900, 9_999, 500, 550, 0, 1, 10_000]:
        for name in ["sonnet", "nano", "sonar", "free"]:
            add(f"{name}: {share} of 10000", LISTS[name],
                {"prompt": 1_003, "completion": 77, "searches": 1}, share_bp=share)
        add(f"one token, {share} of 10000", {"prompt": "0.05", "completion": "1"},
            {"prompt": 1}, share_bp=share)
    # Near the end of the numbers.
    huge = {"prompt": "18446744073709.551615", "completion": "18446744073709.551615"}
    for tokens in [1, 499, 500, 501, 500_000, 2_000_000, 2**63 - 1, 2**64 - 1]:
        add(f"huge: {tokens}", huge, {"prompt": tokens})
    add("huge: all of it", huge, {"prompt": 2**64 - 1, "completion": 2**64 - 1,
                                  "cache_read": 2**64 - 1, "reasoning": 2**64 - 1})
    add("huge: half of it", huge, {"prompt": 2**64 - 1, "completion": 2**64 - 1}, share_bp=5_000)
    # What nobody thought of.
    draw = random.Random(20261126)
    for i in range(120):
        name = draw.choice(sorted(LISTS))
        prompt = draw.choice([draw.randrange(100), draw.randrange(50_000),
                              draw.randrange(2_000_001)])
        read = draw.randrange(prompt + 1)
        five = draw.randrange(prompt - read + 1)
        completion = draw.choice([draw.randrange(50), draw.randrange(128_001)])
        usage = {"prompt": prompt, "cache_read": read, "cache_write_5m": five,
                 "cache_write_1h": draw.randrange(prompt - read - five + 1),
                 "audio_prompt": draw.randrange(prompt + 1), "completion": completion,
                 "reasoning": draw.randrange(completion + 1),
                 "audio_completion": draw.randrange(completion + 1),
                 "images": draw.randrange(3), "searches": draw.randrange(3)}
        add(f"drawn {i}: {name}", LISTS[name], usage, draw.randrange(1_440),
            draw.choice([None, None, 9_900, 500]))
    return made


def main():
    if sys.argv[1:] == ["--write"]:
        with CASES.open("w") as out:
            for case in cases():
                case["nano_usd"] = charge(case)
                out.write(json.dumps(case, separators=(",", ":")) + "\n")
    elif sys.argv[1:]:
        sys.exit("usage: check.py [--write]")
    wrong = checked = 0
    for line in CASES.read_text().splitlines():
        case = json.loads(line)
        expected = charge(case)
        checked += 1
        if case["nano_usd"] != expected:
            wrong += 1
            print(f"{case['name']}: {case['nano_usd']} is written, {expected} is right")
    print(f"{checked} cases, {wrong} wrong")
    sys.exit(1 if wrong or checked < 200 else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Works out ticks by other means than the package: Python's zoneinfo and dateutil.

Everything is done the long way: each local time in a range is held against the
rule, moved off the days off, and turned into an instant by zoneinfo; what comes
out is sorted. Nothing is carried from one tick to the next.

    oracle.py > ../table_test.go           the table
    oracle.py random > dateutil.json       rules drawn at random, with a fixed seed
    oracle.py random 5000 42               more of them, with another seed

Needs Debian's python3-dateutil and tzdata.
"""
import datetime as dt
import json
import os
import random
import re
import signal
import sys
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

UTC = dt.timezone.utc
DAY = dt.timedelta(days=1)
HERE = os.path.dirname(os.path.abspath(__file__))
CALENDARS = json.load(open(os.path.join(HERE, "calendars.json")))
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()

# ---- cron, by crontab(5) and, for L, W and #, by Quartz's tutorial

NAMES = {n: str(i + 1) for i, n in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())}
WEEK = {n: str(i) for i, n in enumerate("sun mon tue wed thu fri sat".split())}
ALIASES = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
           "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}


def month_length(y, m):
    return ((dt.date(y, m, 28) + 4 * DAY).replace(day=1) - DAY).day


def numbers(part, low, high, names):
    part, _, step = part.partition("/")
    for name, number in names.items():
        part = re.sub(r"\b%s\b" % name, number, part)
    if part in "*?":
        first, last = low, high
    elif "-" in part:
        first, last = map(int, part.split("-"))
    else:
        first = int(part)
        last = high if step else first
    values = list(range(first, last + 1)) if first <= last else list(range(first, high + 1)) + list(range(low, last + 1))
    return set(values[::int(step or 1)])


def nearest(y, m, d):
    if d > month_length(y, m):
        return None
    best = None
    for other in range(1, month_length(y, m) + 1):
        if dt.date(y, m, other).weekday() < 5 and (best is None or abs(other - d) < abs(best - d)):
            best = other
    return best


def month_day(part, date):
    length = month_length(date.year, date.month)
    if part == "l":
        return date.day == length
    if part == "lw":
        return date.day == max(d for d in range(1, length + 1) if date.replace(day=d).weekday() < 5)
    if part.startswith("l-"):
        return date.day == length - int(part[2:])
    if part.endswith("w"):
        return date.day == nearest(date.year, date.month, int(part[:-1]))
    return date.day in numbers(part, 1, 31, {})


def week_day(part, date):
    sunday0 = date.isoweekday() % 7
    if m := re.fullmatch(r"(\w+?)#?l", part):
        wanted = int(WEEK.get(m[1], m[1])) % 7
        return sunday0 == wanted and (date + 7 * DAY).month != date.month
    if "#" in part:
        wanted, n = part.split("#")
        return sunday0 == int(WEEK.get(wanted, wanted)) % 7 and (date.day + 6) // 7 == int(n)
    return sunday0 in {n % 7 for n in numbers(part, 0, 7, WEEK)}


def cron_walls(text, low, high):
    minute, hour, dom, month, dow = ALIASES.get(text.lower(), text.lower()).split()
    minutes = sorted(set().union(*(numbers(p, 0, 59, {}) for p in minute.split(","))))
    hours = sorted(set().union(*(numbers(p, 0, 23, {}) for p in hour.split(","))))
    months = set().union(*(numbers(p, 1, 12, NAMES) for p in month.split(",")))
    date = low.date()
    while date <= high.date():
        if date.month in months:
            by_month = any(month_day(p, date) for p in dom.split(","))
            by_week = any(week_day(p, date) for p in dow.split(","))
            either = dom[0] not in "*?" and dow[0] not in "*?"
            if (by_month or by_week) if either else (by_month and by_week):
                for h in hours:
                    for m in minutes:
                        yield dt.datetime(date.year, date.month, date.day, h, m)
        date += DAY


# ---- clocks


def exists(wall, zone):
    back = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return back.replace(tzinfo=None, fold=0) == wall


def instants(wall, zone, dst, hourly):
    """PEP 495: in a gap, fold=0 counts with the offset from before it; in an
    overlap, it is the first of the two."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if not exists(wall, zone):
        return [] if dst.get("gap") == "skip" else [first]
    if second > first and dst.get("overlap", "both" if hourly else "first") == "both":
        return [first, second]
    return [first]


def hourly(rec):
    if "cron" in rec:
        hour = ALIASES.get(rec["cron"].lower(), rec["cron"].lower()).split()[1]
        return set().union(*(numbers(p, 0, 23, {}) for p in hour.split(","))) == set(range(24))
    if "rrule" in rec:
        parts = dict(p.split("=") for p in rec["rrule"].split(";"))
        unit = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}.get(parts["FREQ"])
        hours = set(map(int, parts.get("BYHOUR", "").split(","))) if "BYHOUR" in parts else None
        if unit:
            return 3600 % (unit * int(parts.get("INTERVAL", 1))) == 0 and hours in (None, set(range(24)))
        return hours == set(range(24))
    return False


# ---- days off


def days_off(rec):
    except_ = rec.get("except", [])
    dates, weekend = set(), set()
    for entry in [except_] if isinstance(except_, str) else except_:
        if entry[0].isdigit():
            dates.add(dt.date.fromisoformat(entry))
            continue
        calendar = CALENDARS[entry]
        dates |= {dt.date.fromisoformat(h if isinstance(h, str) else h["date"]) for h in calendar["dates"]}
        weekend |= {DAYS.index(d) for d in calendar.get("weekend", [])}
    return lambda date: date in dates or date.weekday() in weekend


def shifted(wall, rec, off):
    """Where a local time goes that is on a day off: None, if nowhere."""
    shift = rec.get("shift", "skip")
    if not off(wall.date()):
        return wall
    if shift == "skip":
        return None
    while off(wall.date()):
        wall += DAY if shift == "next" else -DAY
    return wall


# ---- ticks


def parse(text):
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))


def walls(rec, zone, low, high):
    if "cron" in rec:
        yield from cron_walls(rec["cron"], low, high)
        return
    text = rec["rrule"]
    start = parse(rec["start_at"]).astimezone(zone)
    aware = bool(re.search(r"UNTIL=\w+Z", text))
    if not aware:
        start = start.replace(tzinfo=None)
    for wall in rrulestr(text, dtstart=start):
        wall = wall.replace(tzinfo=None, fold=0)
        if wall > high:
            return
        if wall >= low:
            yield wall


def ticks(rec, after, n):
    zone = ZoneInfo(rec.get("time_zone", "UTC"))
    off, dst = days_off(rec), rec.get("dst", {})
    after = parse(after)
    start = parse(rec["start_at"]) if "start_at" in rec else None
    end = parse(rec["end_at"]) if "end_at" in rec else None
    span = DAY * 40
    while True:
        low = max(after.astimezone(zone).replace(tzinfo=None) - 30 * DAY, dt.datetime(1, 1, 2))
        high = min(low + 60 * DAY + span, dt.datetime(9998, 1, 1))
        found = set()
        if "every" in rec:
            step = dt.timedelta(seconds=seconds(rec["every"]))
            at = start + max(0, (low.replace(tzinfo=UTC) - 2 * DAY - start) // step) * step
            while at <= high.replace(tzinfo=UTC):
                wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
                if not off(wall.date()):
                    found.add(at)
                elif (wall := shifted(wall, rec, off)) is not None:
                    found.update(instants(wall, zone, {}, False))
                at += step
        else:
            for wall in walls(rec, zone, low, high):
                wall = shifted(wall, rec, off)
                if wall is not None:
                    found.update(instants(wall, zone, dst, hourly(rec)))
        found = sorted(t for t in found if t > after and (not start or t >= start) and (not end or t <= end))
        found = [t for t in found if t < (high - 20 * DAY).replace(tzinfo=UTC)]
        searched = high.year >= 9998 or span > 365 * 110 * DAY or end and high.replace(tzinfo=UTC) > end + 40 * DAY
        if len(found) >= n or searched:
            return [t.astimezone(zone) for t in found[: min(n, rec.get("limit", n))]]
        span *= 4


def seconds(text):
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[u] for n, u in re.findall(r"(\d+)([hms])", text))


def show(t):
    return t.isoformat()


# ---- the table

from cases import CASES  # noqa: E402


def table():
    print("// Code generated by testdata/oracle.py from testdata/cases.py; DO NOT EDIT.\n")
    print("package calendar_test\n")
    print("// table holds ticks that Python's zoneinfo and dateutil worked out: each is the")
    print("// instant, as its local time and offset. What follows the last is not said.")
    print("var table = []tableCase{")
    for case in CASES:
        rec, after, n = case["rec"], case["after"], case.get("n", 3)
        found = ticks(rec, after, n)
        assert found or case.get("none"), case
        if "want" in case:
            assert [show(t) for t in found] == case["want"], (case["name"], [show(t) for t in found], case["want"])
        print("\t{")
        print("\t\tname:       %s," % quote(case["name"]))
        print("\t\trecurrence: `%s`," % json.dumps(rec, ensure_ascii=False))
        print("\t\tafter:      %s," % quote(after))
        if len(found) < n:
            print("\t\tends:       true,")
        print("\t\tticks: []string{")
        for t in found:
            print("\t\t\t%s," % quote(show(t)))
        print("\t\t},")
        print("\t},")
    print("}")


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ---- rules drawn at random

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Australia/Sydney",
         "Asia/Kolkata", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns", "Asia/Beirut", "America/Havana"]


def some(r, values, most=3):
    return ",".join(map(str, sorted(r.sample(list(values), r.randint(1, most)))))


def random_rrule(r):
    freq = r.choice(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"])
    parts = {"FREQ": freq}
    if r.random() < 0.5:
        parts["INTERVAL"] = r.randint(2, 5)
    if r.random() < 0.2:
        parts["WKST"] = r.choice(["SU", "MO", "SA"])
    week = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    if r.random() < 0.3:
        parts["BYMONTH"] = some(r, range(1, 13))
    if r.random() < 0.5:
        if freq in ("YEARLY", "MONTHLY") and r.random() < 0.5:
            most = 5 if freq == "MONTHLY" or "BYMONTH" in parts else 50
            parts["BYDAY"] = ",".join("%d%s" % (r.choice([-1, 1]) * r.randint(1, most), d) for d in r.sample(week, 2))
        else:
            parts["BYDAY"] = ",".join(r.sample(week, r.randint(1, 5)))
    if freq not in ("WEEKLY",) and r.random() < 0.3:
        parts["BYMONTHDAY"] = some(r, [d for d in range(-31, 32) if d])
    if freq in ("YEARLY", "HOURLY", "MINUTELY") and r.random() < 0.15:
        parts["BYYEARDAY"] = some(r, [d for d in range(-366, 367) if d], 6)
    if freq == "YEARLY" and "BYDAY" in parts and not re.search(r"\d", parts["BYDAY"]) and r.random() < 0.5:
        # dateutil takes 1 January 2050, in week 52 by isocalendar(), for week 53.
        parts["BYWEEKNO"] = some(r, range(2, 52))
    if r.random() < 0.3:
        parts["BYHOUR"] = some(r, range(24))
    if r.random() < 0.3:
        parts["BYMINUTE"] = some(r, range(60))
    if any(p.startswith("BY") for p in parts) and r.random() < 0.3:
        parts["BYSETPOS"] = some(r, [-3, -2, -1, 1, 2, 3], 2)
    return ";".join("%s=%s" % p for p in parts.items())


def random_cron(r):
    def field(low, high, extra=()):
        kind = r.random()
        if kind < 0.3:
            return "*"
        if kind < 0.4:
            return "*/%d" % r.randint(2, (high - low) // 2)
        if kind < 0.55:
            a = r.randint(low, high - 1)
            return "%d-%d" % (a, r.randint(a + 1, high))
        if extra and kind < 0.8:
            return r.choice(extra)()
        return some(r, range(low, high + 1))
    doms = (lambda: "L", lambda: "LW", lambda: "%dW" % r.randint(1, 31), lambda: "L-%d" % r.randint(1, 9), lambda: "1,L")
    dows = (lambda: "%d#%d" % (r.randint(0, 7), r.randint(1, 5)), lambda: "%dL" % r.randint(0, 7), lambda: "MON-FRI", lambda: "FRI#1,FRI#3")
    return " ".join([some(r, range(60), 2), field(0, 23), field(1, 31, doms), field(1, 12), field(0, 6, dows)])


def random_case(r):
    rec = {"time_zone": r.choice(ZONES)}
    kind = r.random()
    start = dt.datetime(2026, 1, 1, tzinfo=UTC) + dt.timedelta(minutes=r.randint(0, 365 * 1440))
    after = start + dt.timedelta(minutes=r.randint(0, 1500 * 1440))
    if kind < 0.4:
        rec["cron"] = random_cron(r)
    elif kind < 0.9:
        rec["rrule"] = random_rrule(r)
        bound = r.random()
        if bound < 0.1:
            rec["rrule"] += ";COUNT=%d" % r.randint(1, 200)
            after = start + dt.timedelta(minutes=r.randint(0, 50 * 1440))
        elif bound < 0.3:
            until = after + dt.timedelta(minutes=r.randint(0, 20 * 1440))
            rec["rrule"] += ";UNTIL=" + until.strftime("%Y%m%dT%H%M%S") + r.choice(["", "Z"])
        rec["start_at"] = show(start).replace("+00:00", "Z")
    else:
        rec["every"] = "%dm" % r.randint(30, 6000)
        rec["start_at"] = show(start).replace("+00:00", "Z")
    # What dateutil counts, it counts whether it exists or not.
    if r.random() < 0.4 and "every" not in rec and "COUNT" not in rec.get("rrule", ""):
        rec["dst"] = {"gap": r.choice(["shift", "skip"]), "overlap": r.choice(["first", "both"])}
    if r.random() < 0.4:
        rec["except"] = r.choice([["br_banks"], ["gulf"], ["year_end"], ["2027-03-28", "2026-10-25", "uk_banks"]])
        rec["shift"] = r.choice(["skip", "next", "previous"])
    return {"recurrence": rec, "after": show(after).replace("+00:00", "Z")}


def drawn(cases, n=6):
    """Leaves out what dateutil refuses, and what keeps it searching for ever."""
    def give_up(*_):
        raise TimeoutError
    signal.signal(signal.SIGALRM, give_up)
    for case in cases:
        signal.alarm(1)
        try:
            case["ticks"] = [show(t) for t in ticks(case["recurrence"], case["after"], n)]
        except (TimeoutError, ValueError) as e:
            print("left out:", case["recurrence"], repr(e), file=sys.stderr)
            continue
        finally:
            signal.alarm(0)
        yield case


if __name__ == "__main__":
    if sys.argv[1:2] == ["random"]:
        r = random.Random(int(sys.argv[3]) if sys.argv[3:] else 5545)
        count = int(sys.argv[2]) if sys.argv[2:] else 300
        for case in drawn(random_case(r) for _ in range(count)):
            print(json.dumps(case), flush=True)
    else:
        table()

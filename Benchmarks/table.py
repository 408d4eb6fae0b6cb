"""Makes the table of a comparison from JSON lines on standard input: the median of each figure, and its ratio to bare C.

    table.py framework CONTESTANT…      a row for each contestant
    table.py amqp CASE…                 a row for each case, and a line about memory; ratios are medians over the
                                        rounds, each round's own, as the machine's speed changes between rounds
    table.py redis                      a row for each way to store a result, and a line about waits

A figure that is missing is an error.
"""

import json
import statistics
import sys

COLUMNS = [
    ("publish confirmed /s", "publish", "rate", "{:,.0f}"),
    ("drain /s", "drain", "rate", "{:,.0f}"),
    ("drain with result /s", "drain-results", "rate", "{:,.0f}"),
    ("CPU µs/task", "drain", "cpu_us", "{:.1f}"),
    ("with result", "drain-results", "cpu_us", "{:.1f}"),
    ("round trip p50 ms", "roundtrip", "p50_ms", "{:.2f}"),
    ("p99 ms", "roundtrip", "p99_ms", "{:.2f}"),
]
MEASURE = "bare-c"


class Samples:
    def __init__(self, lines):
        self.records = [json.loads(line) for line in lines]

    def all(self, contestant, measure, figure):
        found = [
            record.get(figure)
            for record in self.records
            if record["contestant"] == contestant and record["measure"] == measure
        ]
        if not found or not all(isinstance(value, (int, float)) for value in found):
            sys.exit(f"table: {contestant} reported no {figure} of {measure}")
        return found

    def median(self, contestant, measure, figure):
        return statistics.median(self.all(contestant, measure, figure))

    def ratio(self, contestant, measure, base):
        """The median over the rounds of each round's ratio to what the C program did, and the middle half of them."""
        rates, floors = self.all(contestant, measure, "rate"), self.all(MEASURE, base, "rate")
        if len(rates) != len(floors):
            sys.exit(f"table: {contestant} took part in {len(rates)} of {len(floors)} rounds of {base}")
        ratios = [rate / floor for rate, floor in zip(rates, floors)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return f"{middle:.2f}", f"{low:.2f}–{high:.2f}"


def framework(samples, contestants):
    rows = [["contestant", *(title for title, *_ in COLUMNS)]]
    ratios = []
    for contestant in contestants:
        row, ratio = [contestant], [f"{contestant} ÷ {MEASURE}"]
        for _, measure, figure, form in COLUMNS:
            value = samples.median(contestant, measure, figure)
            row.append(form.format(value))
            ratio.append(f"{value / samples.median(MEASURE, measure, figure):.2f}")
        rows.append(row)
        if contestant != MEASURE:
            ratios.append(ratio)
    show(rows + ratios)


def amqp(samples, cases):
    ratios = ["ratio", "middle half", "bare-c ÷ itself", "middle half", "librabbitmq's writes"]
    rows = [["case", "amqp /s", "bare-c /s", *ratios, "amqp CPU µs", "bare-c CPU µs"]]
    for case in cases:
        rates = [f"{samples.median(who, case, 'rate'):,.0f}" for who in ("amqp", MEASURE)]
        processor = [f"{samples.median(who, case, 'cpu_us'):.1f}" for who in ("amqp", MEASURE)]
        ratios = [*samples.ratio("amqp", case, case), *samples.ratio(MEASURE, f"{case}-control", case)]
        own = samples.ratio("amqp", case, f"{case}-library")[0] if "publish" in case else ""
        rows.append([case, *rates, *ratios, own, *processor])
    show(rows)
    transactions, confirmed = (samples.median("amqp", case, "rate") for case in ("transactions", cases[0]))
    print(
        f"\nPublishing in transactions of 100: {transactions:,.0f} /s, "
        f"{transactions / confirmed:.2f} of what {cases[0]} reaches with confirmations"
    )
    for record in samples.records:
        if "resident_mb" in record:
            sizes = record["resident_mb"]
            print(
                f"\nMemory over {record['count']:,} messages published and consumed at {record['rate']:,.0f} /s, "
                f"in MB after each twentieth: {' '.join(f'{size:.1f}' for size in sizes)}"
            )


def redis(samples, _):
    rows = [["stored by", "contestant", "results /s", f"÷ {MEASURE}", "CPU µs"]]
    for measure, title in (("fenced", "our script"), ("lean", "SETEX + PUBLISH")):
        contestants = dict.fromkeys(r["contestant"] for r in samples.records if r["measure"] == measure)
        floor = samples.median(MEASURE, measure, "rate")
        for contestant in contestants:
            rate, processor = (samples.median(contestant, measure, figure) for figure in ("rate", "cpu_us"))
            rows.append([title, contestant, f"{rate:,.0f}", f"{rate / floor:.2f}", f"{processor:.1f}"])
    show(rows, texts=2)
    octets, threads, connections, p50, p99 = (
        samples.median("celeriac", "waiters", figure)
        for figure in ("octets", "threads", "connections", "p50_ms", "p99_ms")
    )
    count = next(record["count"] for record in samples.records if record["measure"] == "waiters")
    print(
        f"\n{count:,} waits at once: {octets / 1024:.1f} KiB each, {threads:.0f} threads, {connections:.0f} connections; "
        f"from storing a result to its wait going on {p50:.2f} ms (p50), {p99:.2f} ms (p99)"
    )


def show(rows, texts=1):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        cells = [
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        print("| " + " | ".join(cells) + " |")
        if index == 0:
            rules = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
            print("| " + " | ".join(rules) + " |")


def main():
    sections = {"framework": framework, "amqp": amqp, "redis": redis}
    if len(sys.argv) < 2 or sys.argv[1] not in sections:
        sys.exit(__doc__)
    sections[sys.argv[1]](Samples(sys.stdin), sys.argv[2:])


if __name__ == "__main__":
    main()

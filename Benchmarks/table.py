"""Makes the table of a comparison from JSON lines on standard input: the median of each figure, and its ratio to bare C.

    table.py framework CONTESTANT…      a row for each contestant
    table.py amqp CASE…                 a row for each case, and a line about memory

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

    def median(self, contestant, measure, figure):
        found = [
            record.get(figure)
            for record in self.records
            if record["contestant"] == contestant and record["measure"] == measure
        ]
        if not found or not all(isinstance(value, (int, float)) for value in found):
            sys.exit(f"table: {contestant} reported no {figure} of {measure}")
        return statistics.median(found)


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
    rows = [["case", "amqp /s", "bare-c /s", "ratio", "amqp CPU µs", "bare-c CPU µs"]]
    for case in cases:
        ours, bare = (samples.median(who, case, "rate") for who in ("amqp", MEASURE))
        processor = [samples.median(who, case, "cpu_us") for who in ("amqp", MEASURE)]
        rows.append([case, f"{ours:,.0f}", f"{bare:,.0f}", f"{ours / bare:.2f}", *(f"{us:.1f}" for us in processor)])
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


def show(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        print("| " + " | ".join(cells) + " |")
        if index == 0:
            print("| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |")


def main():
    sections = {"framework": framework, "amqp": amqp}
    if len(sys.argv) < 3 or sys.argv[1] not in sections:
        sys.exit(__doc__)
    sections[sys.argv[1]](Samples(sys.stdin), sys.argv[2:])


if __name__ == "__main__":
    main()

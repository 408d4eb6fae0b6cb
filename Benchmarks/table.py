"""Makes the table of a comparison from JSON lines on standard input: the median of each figure, and its ratio to bare C.

    table.py CONTESTANT…      the rows, in order; a figure that is missing is an error
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


def main():
    contestants = sys.argv[1:]
    samples = {}
    for line in sys.stdin:
        record = json.loads(line)
        for _, measure, figure, _ in COLUMNS:
            if record["measure"] == measure:
                key = (record["contestant"], measure, figure)
                if not isinstance(record.get(figure), (int, float)):
                    sys.exit(f"table: no {figure} in {line.strip()}")
                samples.setdefault(key, []).append(record[figure])

    rows = [["contestant", *(title for title, *_ in COLUMNS)]]
    ratios = []
    for contestant in contestants:
        row, ratio = [contestant], [f"{contestant} ÷ {MEASURE}"]
        for title, measure, figure, form in COLUMNS:
            found = samples.get((contestant, measure, figure))
            if not found:
                sys.exit(f"table: {contestant} reported no {figure} of {measure}")
            value = statistics.median(found)
            row.append(form.format(value))
            ratio.append("{:.2f}".format(value / statistics.median(samples[MEASURE, measure, figure])))
        rows.append(row)
        if contestant != MEASURE:
            ratios.append(ratio)
    rows += ratios

    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        print("| " + " | ".join(cells) + " |")
        if index == 0:
            print("| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |")


if __name__ == "__main__":
    main()

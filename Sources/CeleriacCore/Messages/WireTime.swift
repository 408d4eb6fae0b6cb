package import FoundationEssentials

/// Instants as Celery writes them: ISO 8601 with an offset, `2026-11-20T07:36:22.967605+00:00`.
package enum WireTime {
    /// The text of an instant, in UTC, to the microsecond; the fraction is left out when it is zero, as Python does.
    ///
    /// An instant outside the years 1 through 9999, which Python cannot read, becomes the nearest one inside.
    package static func text(of date: Date) -> String {
        let microseconds = microseconds(of: date)
        let (days, ofDay) = microseconds.flooredDivision(by: 86_400_000_000)
        let (year, month, day) = civil(fromDays: days)
        let (seconds, fraction) = ofDay.quotientAndRemainder(dividingBy: 1_000_000)
        return String(unsafeUninitializedCapacity: 32) { buffer in
            var digits = DigitWriter(buffer: buffer)
            digits.write(year, 4)
            digits.write(month, 2, after: "-")
            digits.write(day, 2, after: "-")
            digits.write(seconds / 3600, 2, after: "T")
            digits.write(seconds / 60 % 60, 2, after: ":")
            digits.write(seconds % 60, 2, after: ":")
            if fraction != 0 { digits.write(fraction, 6, after: ".") }
            digits.write(0, 2, after: "+")
            digits.write(0, 2, after: ":")
            return digits.count
        }
    }

    /// Writes numbers with leading zeros into a buffer that its user has made large enough.
    private struct DigitWriter {
        let buffer: UnsafeMutableBufferPointer<UInt8>
        var count = 0

        mutating func write(_ number: Int64, _ width: Int, after separator: Unicode.Scalar? = nil) {
            if let separator {
                buffer[count] = UInt8(ascii: separator)
                count += 1
            }
            var rest = number
            for position in (count..<count + width).reversed() {
                buffer[position] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
            count += width
        }
    }

    /// Reads an instant: fraction absent or of any length, `Z`, any offset, or none, which means UTC; also a bare date.
    package static func date(from text: String) -> Date? {
        var cursor = Cursor(rest: Substring(text).utf8)
        guard let year = cursor.number(digits: 4), cursor.skip("-"),
            let month = cursor.number(digits: 2), cursor.skip("-"),
            let day = cursor.number(digits: 2), (1...12).contains(month),
            (1...length(ofMonth: month, in: year)).contains(day)
        else { return nil }
        var seconds = Double(days(fromCivil: year, month, day)) * 86_400
        guard !cursor.isAtEnd else { return Date(timeIntervalSince1970: seconds) }
        guard cursor.skip("T") || cursor.skip(" "), let hour = cursor.number(digits: 2), cursor.skip(":"),
            let minute = cursor.number(digits: 2), hour < 24, minute < 60
        else { return nil }
        seconds += Double(hour * 3600 + minute * 60)
        if cursor.skip(":") {
            guard let second = cursor.number(digits: 2), second <= 60 else { return nil }
            seconds += Double(second)
            if cursor.skip(".") || cursor.skip(",") {
                guard let fraction = cursor.fraction() else { return nil }
                seconds += fraction
            }
        }
        guard let offset = cursor.offset(), cursor.isAtEnd else { return nil }
        return Date(timeIntervalSince1970: seconds - Double(offset))
    }

    private static func microseconds(of date: Date) -> Int64 {
        let (first, last): (Int64, Int64) = (-62_135_596_800_000_000, 253_402_300_799_999_999)
        let microseconds = (date.timeIntervalSince1970 * 1e6).rounded()
        if microseconds >= Double(last) { return last }
        return microseconds > Double(first) ? Int64(microseconds) : first
    }

    // The proleptic Gregorian calendar counted in days from 1 March 0000, where leap days end each cycle of 400 years.

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, ofEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let dayOfYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func days(fromCivil year: Int, _ month: Int, _ day: Int) -> Int64 {
        let year = Int64(month <= 2 ? year - 1 : year)
        let (era, yearOfEra) = year.flooredDivision(by: 400)
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func length(ofMonth month: Int, in year: Int) -> Int {
        switch month {
        case 2: year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400)) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private struct Cursor {
        var rest: Substring.UTF8View

        var isAtEnd: Bool { rest.isEmpty }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard let first = rest.first, UInt32(first) == character.value else { return false }
            rest.removeFirst()
            return true
        }

        mutating func number(digits: Int) -> Int? {
            guard rest.count >= digits else { return nil }
            var value = 0
            for octet in rest.prefix(digits) {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) else { return nil }
                value = value * 10 + Int(octet - UInt8(ascii: "0"))
            }
            rest.removeFirst(digits)
            return value
        }

        mutating func fraction() -> Double? {
            var value = 0.0
            var scale = 1.0
            var count = 0
            while let octet = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) {
                if count < 15 {  // more digits than a Double tells apart
                    value = value * 10 + Double(octet - UInt8(ascii: "0"))
                    scale *= 10
                }
                count += 1
                rest.removeFirst()
            }
            return count > 0 ? value / scale : nil
        }

        /// Seconds east of UTC; zero when nothing is said.
        mutating func offset() -> Int? {
            if isAtEnd || skip("Z") || skip("z") { return 0 }
            let sign = skip("-") ? -1 : 1
            guard sign == -1 || skip("+"), let hours = number(digits: 2), hours < 24 else { return nil }
            if isAtEnd { return sign * hours * 3600 }
            _ = skip(":")
            guard let minutes = number(digits: 2), minutes < 60 else { return nil }
            var seconds = 0
            if skip(":") {
                guard let value = number(digits: 2) else { return nil }
                seconds = value
            }
            return sign * (hours * 3600 + minutes * 60 + seconds)
        }
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

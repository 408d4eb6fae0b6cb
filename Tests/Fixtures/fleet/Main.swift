import Celeriac
import Foundation

/// The program's entry: like that of any task program, but the process ends with the test that started it.
@main
enum Main {
    static func main() async {
        if let parent = ProcessInfo.processInfo.environment["FLEET_PARENT"].flatMap({ Int32($0) }) {
            Thread.detachNewThread {
                while getppid() == parent { sleep(1) }
                _exit(99)
            }
        }
        await Fleet.main()
    }
}

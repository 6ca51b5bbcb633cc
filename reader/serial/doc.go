// Package serial reaches devices on serial ports, by cable or by a USB adapter
// that looks like one: scanners of QR codes and machine readable zones
// ([Scanner]), and NFC modules with a PN532 as card readers ([Driver]), the
// cheapest reader there is for a station that has no other.
//
// Opening, reading and writing is github.com/tarm/serial; [Port] adds what that
// leaves open. [Ports] lists what ports there are, by the enumerator of
// go.bug.st/serial.
//
// # Which port
//
// Only ports that are named are opened: to ask a device what it is means to
// write to it, and other devices than ours are on such ports, too. [Ports] tells
// the USB ids without touching any. Linux calls adapters /dev/ttyUSB0 and
// devices that speak USB themselves /dev/ttyACM0, in the order in which they
// were plugged in; a name below /dev/serial/by-id stays with the device. The
// user has to be in the group dialout, as a rule. ModemManager writes to a new
// /dev/ttyACM for some seconds; a udev rule with ID_MM_DEVICE_IGNORE keeps it
// away. Windows calls them COM3, COM4 and keeps the number for the USB socket.
// macOS needs a build with cgo.
//
// # Scanners
//
// A scanner has to be set to "serial" or "USB-COM" by the codes in its manual,
// not to "keyboard": keyboard input is the desk's, and an input method for
// Vietnamese mangles it. Eight bits, no parity, no flow control; 9600 baud
// unless told otherwise. Any suffix will do, or none. UTF-8 arrives as it is on
// the card; Windows-1258 is recognised. Older Vietnamese encodings (TCVN3, VNI)
// are left out: no source shows a scanner or a card code with them.
//
// # PN532 modules
//
// Four wires: GND, power (3.3 V or 5 V, as the board says), the module's TX to
// the adapter's RX and RX to TX, at the voltage of the module (3.3 V). The
// switches of the board choose its serial interface, which is called HSU. What
// answers wrongly is told apart: [ErrNoModule], [ErrWrongDevice],
// [ErrModuleStuck].
//
// Cards of type A and type B with ISO/IEC 14443-4 work, at 106 kbit/s and for
// type A at 212 and 424 if the card offers it. Short and extended APDUs of every
// length work: host and module split them. The answer to reset is made up as
// PC/SC readers do. Nothing here was tried on a real module yet: frames and
// commands are from the manual (UM0701-02) and from what other programs do.
//
// # Limits
//
// The serial line is the bottleneck. A citizen card with its photo takes some
// 23,000 bytes on the line: 2.0 s at 115200 baud, 0.25 s at 921600, besides the
// card's own time (BenchmarkRead). 921600 baud needs an adapter that bears it
// (FT232, CP2102N, CH343); the module goes back to 115200 on [Driver.Close].
//
// A look at the module is one exchange with a card on it and two without: four
// times a second while cards come and go, about 0.3 percent of a core, and every
// 0.9 s after two quiet minutes, 0.07 percent (measured over a pseudo-terminal on
// a busy PC, TestIdle). So the first card after a pause shows within a second.
//
// A command that is lost on the line is never sent twice to a card: it may
// have counted. The exchange fails with reader.ErrComm and the card has to be
// reset.
//
// The module lies on a desk that others can reach, and so does its cable. What
// it says is treated as hostile like what a card says; secure messaging, not
// the cable, is what protects the data.
package serial

package apdu

import "fmt"

// A Status is the status word SW1-SW2 of a response. It is an error, and its
// constants are the sentinels: errors.Is(err, apdu.FileNotFound).
type Status uint16

// Status words of ISO/IEC 7816-4:2020, 5.6, that identity documents use.
const (
	OK                          Status = 0x9000
	DataCorrupted               Status = 0x6281
	EndOfFile                   Status = 0x6282 // fewer bytes than Ne were left to read
	FileDeactivated             Status = 0x6283
	FileTerminated              Status = 0x6285
	AuthenticationFailed        Status = 0x6300
	ExecutionError              Status = 0x6400
	MemoryFailure               Status = 0x6581
	WrongLength                 Status = 0x6700
	LogicalChannelNotSupported  Status = 0x6881
	SecureMessagingNotSupported Status = 0x6882
	LastCommandOfChainExpected  Status = 0x6883
	CommandChainingNotSupported Status = 0x6884
	CommandIncompatible         Status = 0x6981
	SecurityStatusNotSatisfied  Status = 0x6982
	AuthenticationMethodBlocked Status = 0x6983
	ReferenceDataNotUsable      Status = 0x6984
	ConditionsNotSatisfied      Status = 0x6985
	CommandNotAllowed           Status = 0x6986 // no current EF
	SMObjectsMissing            Status = 0x6987
	SMObjectsIncorrect          Status = 0x6988
	WrongData                   Status = 0x6A80
	FunctionNotSupported        Status = 0x6A81
	FileNotFound                Status = 0x6A82
	RecordNotFound              Status = 0x6A83
	IncorrectP1P2               Status = 0x6A86
	NcInconsistentWithP1P2      Status = 0x6A87
	ReferencedDataNotFound      Status = 0x6A88
	WrongP1P2                   Status = 0x6B00 // of READ BINARY: offset outside the file
	InstructionNotSupported     Status = 0x6D00
	ClassNotSupported           Status = 0x6E00
	NoPreciseDiagnosis          Status = 0x6F00
)

// First bytes of the two status words that belong to the transport of a
// response (ISO/IEC 7816-4:2020, 5.6).
const (
	sw1MoreData = 0x61 // SW2 more bytes wait for GET RESPONSE
	sw1WrongLe  = 0x6C // SW2 is the exact number of bytes to ask for
)

var statusText = map[Status]string{
	OK:                          "success",
	DataCorrupted:               "data may be corrupted",
	EndOfFile:                   "end of file",
	FileDeactivated:             "file deactivated",
	FileTerminated:              "file terminated",
	AuthenticationFailed:        "authentication failed",
	ExecutionError:              "execution error",
	MemoryFailure:               "memory failure",
	WrongLength:                 "wrong length",
	LogicalChannelNotSupported:  "logical channel not supported",
	SecureMessagingNotSupported: "secure messaging not supported",
	LastCommandOfChainExpected:  "last command of chain expected",
	CommandChainingNotSupported: "command chaining not supported",
	CommandIncompatible:         "command incompatible with file structure",
	SecurityStatusNotSatisfied:  "security status not satisfied",
	AuthenticationMethodBlocked: "authentication method blocked",
	ReferenceDataNotUsable:      "reference data not usable",
	ConditionsNotSatisfied:      "conditions of use not satisfied",
	CommandNotAllowed:           "command not allowed",
	SMObjectsMissing:            "secure messaging data objects missing",
	SMObjectsIncorrect:          "secure messaging data objects incorrect",
	WrongData:                   "wrong data",
	FunctionNotSupported:        "function not supported",
	FileNotFound:                "file not found",
	RecordNotFound:              "record not found",
	IncorrectP1P2:               "incorrect parameters",
	NcInconsistentWithP1P2:      "length inconsistent with parameters",
	ReferencedDataNotFound:      "referenced data not found",
	WrongP1P2:                   "wrong parameters",
	InstructionNotSupported:     "instruction not supported",
	ClassNotSupported:           "class not supported",
	NoPreciseDiagnosis:          "no precise diagnosis",
}

// Error returns the status word in hexadecimal and, where it is known, its
// meaning: "status 6a82 (file not found)".
func (s Status) Error() string {
	if text, ok := statusText[s]; ok {
		return fmt.Sprintf("status %04x (%s)", uint16(s), text)
	}
	if n, ok := s.Retries(); ok {
		return fmt.Sprintf("status %04x (%d tries left)", uint16(s), n)
	}
	return fmt.Sprintf("status %04x", uint16(s))
}

// SW1 returns the first byte.
func (s Status) SW1() byte { return byte(s >> 8) }

// SW2 returns the second byte.
func (s Status) SW2() byte { return byte(s) }

// Retries returns the number of tries that are left after a failed
// authentication, and whether the status word says so (63Cx).
func (s Status) Retries() (n int, ok bool) {
	if s&0xFFF0 != 0x63C0 {
		return 0, false
	}
	return int(s & 0x0F), true
}

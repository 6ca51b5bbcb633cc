package pcsc

import (
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/reader"
)

// code is a return code of the service: one of SCARD_S_*, SCARD_E_*, SCARD_F_*,
// SCARD_P_* and SCARD_W_*, or, on Windows, a system error that the service or
// the reader's driver hands through.
type code uint32

const (
	codeInternalError          code = 0x80100001
	codeCancelled              code = 0x80100002
	codeInvalidHandle          code = 0x80100003
	codeInvalidParameter       code = 0x80100004
	codeInvalidTarget          code = 0x80100005
	codeNoMemory               code = 0x80100006
	codeWaitedTooLong          code = 0x80100007
	codeInsufficientBuffer     code = 0x80100008
	codeUnknownReader          code = 0x80100009
	codeTimeout                code = 0x8010000A
	codeSharingViolation       code = 0x8010000B
	codeNoSmartcard            code = 0x8010000C
	codeUnknownCard            code = 0x8010000D
	codeCantDispose            code = 0x8010000E
	codeProtoMismatch          code = 0x8010000F
	codeNotReady               code = 0x80100010
	codeInvalidValue           code = 0x80100011
	codeSystemCancelled        code = 0x80100012
	codeCommError              code = 0x80100013
	codeUnknownError           code = 0x80100014
	codeInvalidATR             code = 0x80100015
	codeNotTransacted          code = 0x80100016
	codeReaderUnavailable      code = 0x80100017
	codeShutdown               code = 0x80100018
	codePCITooSmall            code = 0x80100019
	codeReaderUnsupported      code = 0x8010001A
	codeDuplicateReader        code = 0x8010001B
	codeCardUnsupported        code = 0x8010001C
	codeNoService              code = 0x8010001D
	codeServiceStopped         code = 0x8010001E
	codeUnexpected             code = 0x8010001F // pcsc-lite uses it for an unsupported feature, too
	codeICCInstallation        code = 0x80100020
	codeICCCreateOrder         code = 0x80100021
	codeUnsupportedFeature     code = 0x80100022
	codeDirNotFound            code = 0x80100023
	codeFileNotFound           code = 0x80100024
	codeNoDir                  code = 0x80100025
	codeNoFile                 code = 0x80100026
	codeNoAccess               code = 0x80100027
	codeWriteTooMany           code = 0x80100028
	codeBadSeek                code = 0x80100029
	codeInvalidCHV             code = 0x8010002A
	codeUnknownResMng          code = 0x8010002B
	codeNoSuchCertificate      code = 0x8010002C
	codeCertificateUnavailable code = 0x8010002D
	codeNoReaders              code = 0x8010002E
	codeCommDataLost           code = 0x8010002F
	codeNoKeyContainer         code = 0x80100030
	codeServerTooBusy          code = 0x80100031
	codePINCacheExpired        code = 0x80100032
	codeNoPINCache             code = 0x80100033
	codeReadOnlyCard           code = 0x80100034
	codeUnsupportedCard        code = 0x80100065
	codeUnresponsiveCard       code = 0x80100066
	codeUnpoweredCard          code = 0x80100067
	codeResetCard              code = 0x80100068
	codeRemovedCard            code = 0x80100069
	codeSecurityViolation      code = 0x8010006A
	codeWrongCHV               code = 0x8010006B
	codeCHVBlocked             code = 0x8010006C
	codeEOF                    code = 0x8010006D
	codeCancelledByUser        code = 0x8010006E
	codeCardNotAuthenticated   code = 0x8010006F
	codeCacheItemNotFound      code = 0x80100070
	codeCacheItemStale         code = 0x80100071
	codeCacheItemTooBig        code = 0x80100072
)

// System errors of Windows (winerror.h) that come out of SCard calls.
const (
	sysInvalidFunction   code = 1
	sysAccessDenied      code = 5
	sysInvalidHandle     code = 6
	sysNotReady          code = 21
	sysBadCommand        code = 22
	sysGenFailure        code = 31
	sysNotSupported      code = 50
	sysDeviceNotExist    code = 55
	sysInvalidParameter  code = 87
	sysBrokenPipe        code = 109
	sysSemTimeout        code = 121
	sysBusy              code = 170
	sysNoSuchDevice      code = 433
	sysOperationAborted  code = 995
	sysNoMedia           code = 1112
	sysIODevice          code = 1117
	sysNotConnected      code = 1167
	sysTimeout           code = 1460
	sysRPCUnavailable    code = 1722
	sysRPCTooBusy        code = 1723
	sysRPCFailed         code = 1726
	sysRPCFailedDNE      code = 1727
	sysUnrecognizedMedia code = 1785
)

// Error implements error.
func (c code) Error() string { return fmt.Sprintf("pcsc: code %08x", uint32(c)) }

// A meaning is what a code says to this driver.
type meaning struct {
	name string // in the headers
	kind error  // of package reader; nil if none fits
	// noAnswer means that the code only says that something did not work out.
	// A card that is pulled away looks like this until the service notices,
	// so the card is asked before kind is believed.
	noAnswer bool
}

// codes are all codes of pcsclite.h (pcsc-lite 1.9.9 and 2.5.1) and of the
// smart card facility in winerror.h. Many of them belong to files, PINs and
// certificates, which nothing here asks the service for; should one come up
// all the same, it has no kind and is told by its number.
//
// What the system errors of Windows mean is their general meaning in
// winerror.h. Only ERROR_BROKEN_PIPE is in Microsoft's list of smart card
// return values; the others are what drivers are known or supposed to hand
// through, and were not seen on hardware of ours.
var codes = map[code]meaning{
	codeInternalError:      {"SCARD_F_INTERNAL_ERROR", reader.ErrComm, true},
	codeCancelled:          {"SCARD_E_CANCELLED", nil, false},
	codeInvalidHandle:      {"SCARD_E_INVALID_HANDLE", reader.ErrNoService, false}, // our handle is from before a restart of the service
	codeInvalidParameter:   {"SCARD_E_INVALID_PARAMETER", nil, false},
	codeInvalidTarget:      {"SCARD_E_INVALID_TARGET", nil, false},
	codeNoMemory:           {"SCARD_E_NO_MEMORY", nil, false},
	codeWaitedTooLong:      {"SCARD_F_WAITED_TOO_LONG", reader.ErrTimeout, false},
	codeInsufficientBuffer: {"SCARD_E_INSUFFICIENT_BUFFER", nil, false},
	codeUnknownReader:      {"SCARD_E_UNKNOWN_READER", reader.ErrNoReader, false},
	codeTimeout:            {"SCARD_E_TIMEOUT", reader.ErrTimeout, false},
	codeSharingViolation:   {"SCARD_E_SHARING_VIOLATION", reader.ErrSharing, false},
	codeNoSmartcard:        {"SCARD_E_NO_SMARTCARD", reader.ErrNoCard, true},
	codeUnknownCard:        {"SCARD_E_UNKNOWN_CARD", nil, false},
	codeCantDispose:        {"SCARD_E_CANT_DISPOSE", nil, false},
	codeProtoMismatch:      {"SCARD_E_PROTO_MISMATCH", reader.ErrCardUnsupported, false},
	codeNotReady:           {"SCARD_E_NOT_READY", reader.ErrNoReader, false},
	codeInvalidValue:       {"SCARD_E_INVALID_VALUE", reader.ErrComm, true},
	codeSystemCancelled:    {"SCARD_E_SYSTEM_CANCELLED", reader.ErrNoService, false}, // log-off or shutdown
	codeCommError:          {"SCARD_F_COMM_ERROR", reader.ErrComm, true},
	codeUnknownError:       {"SCARD_F_UNKNOWN_ERROR", reader.ErrComm, true},
	codeInvalidATR:         {"SCARD_E_INVALID_ATR", reader.ErrCardMute, false},
	codeNotTransacted:      {"SCARD_E_NOT_TRANSACTED", reader.ErrComm, true},
	codeReaderUnavailable:  {"SCARD_E_READER_UNAVAILABLE", reader.ErrNoReader, false},
	codeShutdown:           {"SCARD_P_SHUTDOWN", reader.ErrNoService, false},
	codePCITooSmall:        {"SCARD_E_PCI_TOO_SMALL", nil, false},
	codeReaderUnsupported:  {"SCARD_E_READER_UNSUPPORTED", reader.ErrNoReader, false},
	codeDuplicateReader:    {"SCARD_E_DUPLICATE_READER", nil, false},
	codeCardUnsupported:    {"SCARD_E_CARD_UNSUPPORTED", reader.ErrCardUnsupported, false},
	// Windows stops its service with the last reader, so these two often mean
	// no more than that none is plugged in.
	codeNoService:              {"SCARD_E_NO_SERVICE", reader.ErrNoService, false},
	codeServiceStopped:         {"SCARD_E_SERVICE_STOPPED", reader.ErrNoService, false},
	codeUnexpected:             {"SCARD_E_UNEXPECTED", reader.ErrComm, true},
	codeICCInstallation:        {"SCARD_E_ICC_INSTALLATION", nil, false},
	codeICCCreateOrder:         {"SCARD_E_ICC_CREATEORDER", nil, false},
	codeUnsupportedFeature:     {"SCARD_E_UNSUPPORTED_FEATURE", nil, false},
	codeDirNotFound:            {"SCARD_E_DIR_NOT_FOUND", nil, false},
	codeFileNotFound:           {"SCARD_E_FILE_NOT_FOUND", nil, false},
	codeNoDir:                  {"SCARD_E_NO_DIR", nil, false},
	codeNoFile:                 {"SCARD_E_NO_FILE", nil, false},
	codeNoAccess:               {"SCARD_E_NO_ACCESS", reader.ErrAccess, false},
	codeWriteTooMany:           {"SCARD_E_WRITE_TOO_MANY", nil, false},
	codeBadSeek:                {"SCARD_E_BAD_SEEK", nil, false},
	codeInvalidCHV:             {"SCARD_E_INVALID_CHV", nil, false},
	codeUnknownResMng:          {"SCARD_E_UNKNOWN_RES_MNG", reader.ErrComm, true},
	codeNoSuchCertificate:      {"SCARD_E_NO_SUCH_CERTIFICATE", nil, false},
	codeCertificateUnavailable: {"SCARD_E_CERTIFICATE_UNAVAILABLE", nil, false},
	codeNoReaders:              {"SCARD_E_NO_READERS_AVAILABLE", reader.ErrNoReader, false},
	codeCommDataLost:           {"SCARD_E_COMM_DATA_LOST", reader.ErrComm, true},
	codeNoKeyContainer:         {"SCARD_E_NO_KEY_CONTAINER", nil, false},
	codeServerTooBusy:          {"SCARD_E_SERVER_TOO_BUSY", reader.ErrNoService, false},
	codePINCacheExpired:        {"SCARD_E_PIN_CACHE_EXPIRED", nil, false},
	codeNoPINCache:             {"SCARD_E_NO_PIN_CACHE", nil, false},
	codeReadOnlyCard:           {"SCARD_E_READ_ONLY_CARD", nil, false},
	codeUnsupportedCard:        {"SCARD_W_UNSUPPORTED_CARD", reader.ErrCardUnsupported, false},
	codeUnresponsiveCard:       {"SCARD_W_UNRESPONSIVE_CARD", reader.ErrCardMute, true},
	codeUnpoweredCard:          {"SCARD_W_UNPOWERED_CARD", reader.ErrCardMute, true},
	codeResetCard:              {"SCARD_W_RESET_CARD", reader.ErrCardReset, false},
	codeRemovedCard:            {"SCARD_W_REMOVED_CARD", reader.ErrCardRemoved, false},
	codeSecurityViolation:      {"SCARD_W_SECURITY_VIOLATION", reader.ErrAccess, false}, // pcscd with polkit: not for this session
	codeWrongCHV:               {"SCARD_W_WRONG_CHV", nil, false},
	codeCHVBlocked:             {"SCARD_W_CHV_BLOCKED", nil, false},
	codeEOF:                    {"SCARD_W_EOF", nil, false},
	codeCancelledByUser:        {"SCARD_W_CANCELLED_BY_USER", nil, false},
	codeCardNotAuthenticated:   {"SCARD_W_CARD_NOT_AUTHENTICATED", nil, false},
	codeCacheItemNotFound:      {"SCARD_W_CACHE_ITEM_NOT_FOUND", nil, false},
	codeCacheItemStale:         {"SCARD_W_CACHE_ITEM_STALE", nil, false},
	codeCacheItemTooBig:        {"SCARD_W_CACHE_ITEM_TOO_BIG", nil, false},

	sysInvalidFunction:   {"ERROR_INVALID_FUNCTION", nil, false},
	sysAccessDenied:      {"ERROR_ACCESS_DENIED", reader.ErrAccess, false},
	sysInvalidHandle:     {"ERROR_INVALID_HANDLE", reader.ErrNoService, false}, // as SCARD_E_INVALID_HANDLE
	sysNotReady:          {"ERROR_NOT_READY", reader.ErrComm, true},
	sysBadCommand:        {"ERROR_BAD_COMMAND", reader.ErrComm, true},
	sysGenFailure:        {"ERROR_GEN_FAILURE", reader.ErrComm, true},
	sysNotSupported:      {"ERROR_NOT_SUPPORTED", nil, false},
	sysDeviceNotExist:    {"ERROR_DEV_NOT_EXIST", reader.ErrNoReader, false},
	sysInvalidParameter:  {"ERROR_INVALID_PARAMETER", nil, false},
	sysBrokenPipe:        {"ERROR_BROKEN_PIPE", reader.ErrNoService, false}, // a remote session without redirection of cards
	sysSemTimeout:        {"ERROR_SEM_TIMEOUT", reader.ErrComm, true},
	sysBusy:              {"ERROR_BUSY", reader.ErrComm, true},
	sysNoSuchDevice:      {"ERROR_NO_SUCH_DEVICE", reader.ErrNoReader, false},
	sysOperationAborted:  {"ERROR_OPERATION_ABORTED", reader.ErrComm, true},
	sysNoMedia:           {"ERROR_NO_MEDIA_IN_DRIVE", reader.ErrNoCard, true},
	sysIODevice:          {"ERROR_IO_DEVICE", reader.ErrComm, true},
	sysNotConnected:      {"ERROR_DEVICE_NOT_CONNECTED", reader.ErrNoReader, false},
	sysTimeout:           {"ERROR_TIMEOUT", reader.ErrComm, true},
	sysRPCUnavailable:    {"RPC_S_SERVER_UNAVAILABLE", reader.ErrNoService, false},
	sysRPCTooBusy:        {"RPC_S_SERVER_TOO_BUSY", reader.ErrNoService, false},
	sysRPCFailed:         {"RPC_S_CALL_FAILED", reader.ErrNoService, false},
	sysRPCFailedDNE:      {"RPC_S_CALL_FAILED_DNE", reader.ErrNoService, false},
	sysUnrecognizedMedia: {"ERROR_UNRECOGNIZED_MEDIA", reader.ErrCardMute, true},
}

// meansNoAnswer reports whether c only says that an exchange did not work out.
func meansNoAnswer(c code) bool { return codes[c].noAnswer }

// An Error is a refusal of the service. It unwraps to the error of package
// reader that says what it means, and to nothing if no such error fits.
type Error struct {
	// Op is what was asked for, for example "connect".
	Op string
	// Code is the return code of the service.
	Code uint32

	kind error
}

// Error implements error.
func (e *Error) Error() string {
	if e.kind == nil {
		return fmt.Sprintf("pcsc: %s: code %08x", e.Op, e.Code)
	}
	return fmt.Sprintf("%s: %v (code %08x)", e.Op, e.kind, e.Code)
}

// Unwrap returns the meaning of the code.
func (e *Error) Unwrap() error { return e.kind }

// Name returns what the headers of pcsc-lite and of Windows call the code, for
// example SCARD_E_NO_SERVICE, and nothing for a code that they do not have.
func (e *Error) Name() string { return codes[code(e.Code)].name }

// toError gives err, if it is a code, a meaning.
func toError(op string, err error) error {
	c, ok := errors.AsType[code](err)
	if !ok {
		return err
	}
	return &Error{Op: op, Code: uint32(c), kind: codes[c].kind}
}

// toOpenError is toError for calls on what was opened already. pcsc-lite says
// SCARD_W_SECURITY_VIOLATION when its service resets the connection. To one who
// comes that is a refusal; to one who is in, the service has gone.
func toOpenError(op string, err error) error {
	if errors.Is(err, codeSecurityViolation) {
		return &Error{Op: op, Code: uint32(codeSecurityViolation), kind: reader.ErrNoService}
	}
	return toError(op, err)
}

// toServiceError is toError for calls that no card and no reader has a part in.
// That such a call did not work out says that the service broke off: pcsc-lite
// answers SCARD_F_COMM_ERROR when it is killed under a call.
func toServiceError(op string, err error) error {
	if c, ok := errors.AsType[code](err); ok && meansNoAnswer(c) {
		return &Error{Op: op, Code: uint32(c), kind: reader.ErrNoService}
	}
	return toError(op, err)
}

// toListError is both toServiceError and toOpenError.
func toListError(op string, err error) error {
	if errors.Is(err, codeSecurityViolation) {
		return toOpenError(op, err)
	}
	return toServiceError(op, err)
}

// A Holder is who keeps others from a card, as far as the service tells: none
// of them names the program.
type Holder uint8

const (
	// HolderUnknown means that the service does not tell.
	HolderUnknown Holder = iota
	// ThisProgram means that the card is open in this process.
	ThisProgram
	// ExclusiveConnection means that another program asked for the card for
	// itself alone, and keeps it until it disconnects.
	ExclusiveConnection
	// Transaction means that another program is connected and in the middle
	// of something.
	Transaction
)

// String returns the holder in words.
func (h Holder) String() string {
	switch h {
	case ThisProgram:
		return "open in this program"
	case ExclusiveConnection:
		return "exclusive connection"
	case Transaction:
		return "transaction"
	default:
		return "unknown"
	}
}

// A SharingError says that somebody else has the card. It unwraps to
// [reader.ErrSharing].
type SharingError struct{ Holder Holder }

// Error implements error.
func (e *SharingError) Error() string {
	text := "open: " + reader.ErrSharing.Error()
	if e.Holder == HolderUnknown {
		return text
	}
	return text + " (" + e.Holder.String() + ")"
}

// Unwrap returns [reader.ErrSharing].
func (*SharingError) Unwrap() error { return reader.ErrSharing }

// A stuckError is an own time limit that ran out.
type stuckError struct{ op string }

func (e *stuckError) Error() string { return e.op + ": " + reader.ErrTimeout.Error() }
func (e *stuckError) Unwrap() error { return reader.ErrTimeout }

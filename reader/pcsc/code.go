package pcsc

import (
	"errors"
	"fmt"

	"github.com/chamthe/chamthe/reader"
)

// code is a return code of the service (SCARD_S_*, E_, F_, W_, or a system
// error on Windows).
type code uint32

const (
	codeInternalError      code = 0x80100001
	codeCancelled          code = 0x80100002
	codeInvalidHandle      code = 0x80100003
	codeInvalidParameter   code = 0x80100004
	codeInvalidTarget      code = 0x80100005
	codeNoMemory           code = 0x80100006
	codeWaitedTooLong      code = 0x80100007
	codeInsufficientBuffer code = 0x80100008
	codeUnknownReader      code = 0x80100009
	codeTimeout            code = 0x8010000A
	codeSharingViolation   code = 0x8010000B
	codeNoSmartcard        code = 0x8010000C
	codeUnknownCard        code = 0x8010000D
	codeCantDispose        code = 0x8010000E
	codeProtoMismatch      code = 0x8010000F
	codeNotReady           code = 0x80100010
	codeInvalidValue       code = 0x80100011
	codeSystemCancelled    code = 0x80100012
	codeCommError          code = 0x80100013
	codeUnknownError       code = 0x80100014
	codeInvalidATR         code = 0x80100015
	codeNotTransacted      code = 0x80100016
	codeReaderUnavailable  code = 0x80100017
	codeShutdown           code = 0x80100018
	codePCITooSmall        code = 0x80100019
	codeReaderUnsupported  code = 0x8010001A
	codeDuplicateReader    code = 0x8010001B
	codeCardUnsupported    code = 0x8010001C
	codeNoService          code = 0x8010001D
	codeServiceStopped     code = 0x8010001E
	codeUnexpected         code = 0x8010001F // pcsc-lite: unsupported feature
	codeNoAccess           code = 0x80100027
	codeNoReaders          code = 0x8010002E
	codeCommDataLost       code = 0x8010002F
	codeServerTooBusy      code = 0x80100031
	codeUnsupportedCard    code = 0x80100065
	codeUnresponsiveCard   code = 0x80100066
	codeUnpoweredCard      code = 0x80100067
	codeResetCard          code = 0x80100068
	codeRemovedCard        code = 0x80100069
	codeSecurityViolation  code = 0x8010006A
)

// Error implements error.
func (c code) Error() string { return fmt.Sprintf("pcsc: code %08x", uint32(c)) }

// meaning maps the codes that say one thing wherever they come up. Codes that
// are not here say too little: see [meansNoAnswer] and [toError].
var meaning = map[code]error{
	codeCardUnsupported:   reader.ErrCardUnsupported,
	codeInvalidATR:        reader.ErrCardMute,
	codeInvalidHandle:     reader.ErrNoService, // our handle is from before a restart of the service
	codeNoAccess:          reader.ErrAccess,
	codeNoReaders:         reader.ErrNoReader,
	codeNoService:         reader.ErrNoService,
	codeNoSmartcard:       reader.ErrNoCard,
	codeNotReady:          reader.ErrNoReader,
	codeProtoMismatch:     reader.ErrCardUnsupported,
	codeReaderUnavailable: reader.ErrNoReader,
	codeReaderUnsupported: reader.ErrNoReader,
	codeRemovedCard:       reader.ErrCardRemoved,
	codeResetCard:         reader.ErrCardReset,
	codeSecurityViolation: reader.ErrAccess, // pcscd with polkit: not for this session
	codeServerTooBusy:     reader.ErrNoService,
	codeServiceStopped:    reader.ErrNoService,
	codeSharingViolation:  reader.ErrSharing,
	codeShutdown:          reader.ErrNoService,
	codeSystemCancelled:   reader.ErrNoService, // log-off or shutdown
	codeTimeout:           reader.ErrTimeout,
	codeUnknownReader:     reader.ErrNoReader,
	codeUnpoweredCard:     reader.ErrCardMute,
	codeUnresponsiveCard:  reader.ErrCardMute,
	codeUnsupportedCard:   reader.ErrCardUnsupported,
	codeWaitedTooLong:     reader.ErrTimeout,
}

// meansNoAnswer reports whether c only says that an exchange did not work out.
// A card that is pulled away looks like this until the service notices.
func meansNoAnswer(c code) bool {
	switch c {
	case codeCommError, codeNotTransacted, codeCommDataLost, codeUnknownError, codeInternalError,
		codeUnresponsiveCard, codeUnpoweredCard, codeNoSmartcard, codeUnexpected, codeInvalidValue:
		return true
	}
	return false
}

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

// toError gives err, if it is a code, a meaning.
func toError(op string, err error) error {
	c, ok := errors.AsType[code](err)
	if !ok {
		return err
	}
	kind := meaning[c]
	if kind == nil && meansNoAnswer(c) {
		kind = reader.ErrComm
	}
	return &Error{Op: op, Code: uint32(c), kind: kind}
}

package pcsc

import (
	"errors"
	"math"
	"runtime"
	"time"
	"unsafe"

	"github.com/ebfe/scard"
	"golang.org/x/sys/windows"
)

// keepAlive is how often an idle card is looked at. Windows resets a card on
// which a transaction has done nothing for five seconds; any call on the card
// starts that time anew (documentation of SCardBeginTransaction).
const keepAlive = 2 * time.Second

// The calls that need a context but no card are made here and not through
// github.com/ebfe/scard. Its GetStatusChange, at the version that go.mod pins,
// turns each reader name into UTF-16, stores the address as a uintptr, and
// drops the slice: while the call blocks, nothing keeps the names from the
// garbage collector, and winscard.dll reads freed memory. Nor does it show the
// handle of its context, so the other calls come along. Cards are opened
// through the library, on a context of its own.
var (
	winscardDLL          = windows.NewLazySystemDLL("winscard.dll")
	procEstablishContext = winscardDLL.NewProc("SCardEstablishContext")
	procReleaseContext   = winscardDLL.NewProc("SCardReleaseContext")
	procListReaders      = winscardDLL.NewProc("SCardListReadersW")
	procGetStatusChange  = winscardDLL.NewProc("SCardGetStatusChangeW")
	procCancel           = winscardDLL.NewProc("SCardCancel")
)

const (
	scopeSystem   = 2 // SCARD_SCOPE_SYSTEM
	maxReaderList = 1 << 16
)

// scardResult turns what a call returns into an error. The calls themselves stand
// where their pointers are converted: only there does the compiler keep alive
// what they point at.
func scardResult(r, _ uintptr, _ error) error {
	if c := code(r); c != 0 {
		return c
	}
	return nil
}

func (native) establish() (scardContext, error) {
	for _, p := range []*windows.LazyProc{
		procEstablishContext, procReleaseContext, procListReaders, procGetStatusChange, procCancel,
	} {
		if p.Find() != nil {
			return nil, codeNoService // a Windows without smart cards
		}
	}
	var h uintptr
	if err := scardResult(procEstablishContext.Call(scopeSystem, 0, 0, uintptr(unsafe.Pointer(&h)))); err != nil {
		return nil, err
	}
	return &nativeContext{h: h}, nil
}

type nativeContext struct {
	h     uintptr        // SCARDCONTEXT
	cards *scard.Context // made with the first card
}

func (n *nativeContext) listReaders() ([]string, error) {
	// A reader may come between the question how long the list is and the
	// list; then the buffer is too small and the question is asked again.
	for range 4 {
		var size uint32
		if err := scardResult(procListReaders.Call(n.h, 0, 0, uintptr(unsafe.Pointer(&size)))); err != nil {
			return nil, err
		}
		if size == 0 {
			return nil, nil
		}
		if size > maxReaderList {
			return nil, codeInsufficientBuffer
		}
		list := make([]uint16, size)
		err := scardResult(procListReaders.Call(n.h, 0, uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&size))))
		if errors.Is(err, codeInsufficientBuffer) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return splitNames(list[:min(int(size), len(list))]), nil
	}
	return nil, codeInsufficientBuffer
}

// nativeState is SCARD_READERSTATEW. The names are pointers that Go knows, so
// they live as long as the slice that holds them.
type nativeState struct {
	reader   *uint16
	userData uintptr
	current  uint32
	event    uint32
	atrLen   uint32
	atr      [36]byte
}

func (n *nativeContext) getStatusChange(states []readerState, wait time.Duration) error {
	if len(states) == 0 {
		return nil
	}
	// All that winscard.dll looks at is pinned. Go's collector does not move
	// memory today; pinning is what it promises for ever.
	var pins runtime.Pinner
	defer pins.Unpin()
	list := make([]nativeState, len(states))
	for i, s := range states {
		name, err := windows.UTF16PtrFromString(s.name)
		if err != nil {
			return codeInvalidParameter // a NUL in the name
		}
		pins.Pin(name)
		list[i] = nativeState{reader: name, current: s.current}
	}
	pins.Pin(&list[0])
	ms := min(max(wait.Milliseconds(), 0), math.MaxUint32-1) // the greatest value waits for ever
	err := scardResult(procGetStatusChange.Call(n.h, uintptr(ms), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list))))
	for i := range list {
		states[i].event = list[i].event
		states[i].atr = append([]byte(nil), list[i].atr[:min(int(list[i].atrLen), len(list[i].atr))]...)
	}
	runtime.KeepAlive(list) // and with it the names
	return err
}

// cancel ends a call that blocks. Windows cancels every one that is
// outstanding on the context.
func (n *nativeContext) cancel() error { return scardResult(procCancel.Call(n.h)) }

func (n *nativeContext) release() error {
	if n.cards != nil {
		_ = n.cards.Release()
	}
	return scardResult(procReleaseContext.Call(n.h))
}

func (n *nativeContext) connect(readerName string) (scardCard, error) {
	if n.cards == nil {
		c, err := scard.EstablishContext()
		if err != nil {
			return nil, codeOf(err)
		}
		n.cards = c
	}
	return connectNative(n.cards, readerName)
}

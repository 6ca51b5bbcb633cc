package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/chamthe/chamthe/agent/checkin"
	"github.com/chamthe/chamthe/agent/operator"
	"github.com/chamthe/chamthe/agent/wire"
)

// Errors of [Journal] and [Operators] that have a status of their own, as those of
// package checkin have. Other errors get theirs by what [Config.Fault] says.
var (
	// ErrNone reports a visit that there is not.
	ErrNone = errors.New("api: there is no such thing")
	// ErrDenied reports a wrong name or PIN of an operator.
	ErrDenied = errors.New("api: wrong name or PIN")
)

// A failure is an answer that is not good.
type failure struct {
	status int
	fault  wire.Fault
	after  time.Duration // when to try again
	cause  error         // for the log, when it is our fault
}

func (f *failure) Error() string { return "api: " + f.fault.Code }

func (f *failure) Unwrap() error { return f.cause }

// because returns f with the error that led to it.
func (f *failure) because(err error) *failure {
	g := *f
	g.cause = err
	return &g
}

// saying returns f with a detail, which is a fixed text.
func (f *failure) saying(detail string) *failure {
	g := *f
	g.fault.Detail = detail
	return &g
}

func refusal(status int, code, kind, cause, remedy string) *failure {
	exit := 1
	if kind == "input" {
		exit = 2
	}
	return &failure{status: status, fault: wire.Fault{Code: code, Kind: kind, Cause: cause, Remedy: remedy, ExitCode: exit}}
}

// The faults of the API itself.
var (
	failBadRequest = refusal(400, "bad_request", "input", "The request is not what the API takes.", "Look at /openapi.json for its fields and their values.")
	failNoToken    = refusal(401, "no_token", "input", "The request has no token, or one that is not known here (any more).", "Pair again: ask for a token, have it approved at the desk, and send it as Authorization: Bearer.")
	failDenied     = refusal(401, "sign_in_denied", "input", "Name or PIN is wrong.", "Type them again, or ask who set the PIN.")
	failHost       = refusal(403, "host_refused", "input", "The request was made under a name that is not this computer's loopback address.", "Call http://127.0.0.1 or http://localhost with the port of the agent.")
	failOrigin     = refusal(403, "origin_refused", "input", "The page that calls, or the token that it shows, belongs to another origin than the one that was approved.", "Pair this page's origin at the desk, or call from the page that was paired.")
	failDeskOnly   = refusal(403, "desk_only", "input", "This is for the desk of this computer only.", "Do it in the desk program.")
	failNoPairing  = refusal(403, "pairing_off", "input", "Only systems that IT entered may call this computer.", "Ask IT to enter the origin in the configuration of the agent.")
	failPairDenied = refusal(403, "pairing_denied", "input", "The desk refused, or the code was wrong too often.", "Ask again, and type the code that the desk shows.")
	failFixed      = refusal(403, "client_fixed", "input", "This client stands in the configuration.", "Ask IT to take it out there.")
	failNotFound   = refusal(404, "not_found", "input", "There is no such thing, or it is not the caller's.", "Look at the id; what has ended is forgotten after a while.")
	failMethod     = refusal(405, "method_not_allowed", "input", "The address does not take this method.", "Look at /openapi.json for the methods of each address.")
	failBusy       = refusal(409, "checkin_busy", "retry", "Another check-in is running on this computer.", "Wait for its end, or have it cancelled at the desk.")
	failState      = refusal(409, "wrong_state", "input", "The check-in does not take this in its present state.", "Read its state and do what that asks for.")
	failOperator   = refusal(409, "operator_required", "input", "Nobody is signed in at the desk, and nothing is recorded before somebody is.", "Sign in at the desk, then confirm again.")
	failPairWait   = refusal(409, "pairing_waiting", "waiting", "The desk has not approved this yet.", "Approve it at the desk, then send the code.")
	failPairCode   = refusal(400, "pairing_code", "input", "This is not the code that the desk shows.", "Type the six digits that the desk shows.")
	failNameTaken  = refusal(409, "name_taken", "input", "A program of this name may call already.", "Take its token back at the desk first, or use another name.")
	failFull       = refusal(409, "clients_full", "input", "No more clients can be paired.", "Take back at the desk what is not used any more.")
	failTooLarge   = refusal(413, "too_large", "input", "The request is too large.", "Send only the fields that the API has.")
	failNotJSON    = refusal(415, "not_json", "input", "The request's body is not sent as JSON.", "Send it with Content-Type: application/json.")
	failTooMany    = refusal(429, "too_many", "retry", "There were too many requests.", "Wait as many seconds as Retry-After says, and use the event stream instead of asking again and again.")
	failInternal   = refusal(500, "internal", "system", "The program met an error that it does not know.", "Look into the agent's log, and report what it says.")
	failNotReady   = refusal(503, "not_ready", "retry", "The agent is not ready for this.", "Try again in a moment.")
)

// failureOf says what err is to the caller.
func (s *Server) failureOf(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, checkin.ErrBusy):
		return failBusy
	// Another's check-in is none: who may not see it need not know that it exists.
	case errors.Is(err, ErrNone), errors.Is(err, checkin.ErrNone), errors.Is(err, checkin.ErrOwner):
		return failNotFound
	case errors.Is(err, checkin.ErrState):
		return failState
	case errors.Is(err, checkin.ErrOperator):
		return failOperator
	case errors.Is(err, checkin.ErrClosed):
		return failNotReady
	case errors.Is(err, ErrDenied):
		return failDenied
	}
	if w, ok := errors.AsType[*operator.WaitError](err); ok {
		f := failTooMany.saying("wrong PINs of this name: until then none is looked at, not even the right one")
		f.after = w.For
		return f
	}
	if errors.Is(err, operator.ErrName) {
		return failBadRequest.saying("name: no characters that cannot be seen")
	}
	if errors.Is(err, checkin.ErrCAN) {
		return failBadRequest.saying("key.can: malformed")
	}
	if in, ok := errors.AsType[*checkin.InputError](err); ok {
		return failBadRequest.saying(in.Field + ": " + in.Why) // nothing of its value
	}
	if s.cfg.Fault != nil {
		if w := s.cfg.Fault(err); w != nil {
			return &failure{status: statusOf(w.Kind), fault: *w, cause: err}
		}
	}
	return failInternal.because(err)
}

// statusOf returns the HTTP status for a kind of fault.
func statusOf(kind string) int {
	switch kind {
	case "input":
		return http.StatusBadRequest
	case "refuse", "unsure":
		return http.StatusConflict
	case "retry", "waiting":
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// fail answers with f.
func fail(w http.ResponseWriter, f *failure) {
	if f.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.after+time.Second-1)/time.Second)))
	}
	answer(w, f.status, wire.Error{Fault: f.fault})
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // no type of wire can do that
		status, b = http.StatusInternalServerError, []byte(`{"fault":{"code":"internal","kind":"system","cause":"","remedy":"","exit_code":1}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who does not listen any more has lost nothing
}

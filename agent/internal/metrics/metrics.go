// Package metrics counts what an agent does, for Prometheus. Every label has a
// closed set of values: no person, document, reader's serial number or client is in
// them, and what is not in the set is "other".
package metrics

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chamthe/chamthe/agent/wire"
)

// Build says what runs.
type Build struct{ Version, Revision, Go string }

// Sources are what is asked when somebody looks. Nil ones are left out.
type Sources struct {
	// Status is asked once for each look.
	Status func(ctx context.Context) (wire.Status, error)
	// LogLost is how many lines of the log were lost since the start.
	LogLost func() uint64
}

// Sets of values of labels.
var (
	outcomes = []string{wire.StateRecorded, wire.StateRefused, wire.StateFailed, wire.StateCancelled}
	sources  = []string{"central", "cache", "population", "none"}
	links    = []string{"online", "offline", "connecting", "refused", "untrusted", "not_configured"}
	means    = []string{wire.MeansChip, wire.MeansCCCDQR, wire.MeansHIQR, wire.MeansVNeID, wire.MeansManual}
)

// other stands for what is in no set.
const other = "other"

func within(set []string, s string) string {
	if slices.Contains(set, s) {
		return s
	}
	return other
}

// Metrics counts. Make it with [New]. It may be used concurrently.
type Metrics struct {
	registry *prometheus.Registry
	faults   []string // codes
	steps    []string

	checkIns *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	lookups  *prometheus.CounterVec
	troubles *prometheus.CounterVec
	audited  *prometheus.CounterVec

	mu   sync.Mutex
	done []string // the check-ins that were counted last
}

// New registers what is counted on a registry of its own. faults are all codes of
// faults, steps all names of steps, and actions all of the audit trail.
func New(b Build, faults, steps, actions []string, src Sources) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), faults: faults, steps: steps,
		checkIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chamthe_checkins_total", Help: "Check-ins that have ended, by outcome and by means of identification.",
		}, []string{"outcome", "means"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "chamthe_step_seconds", Help: "How long the steps of a check-in took.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"step"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chamthe_lookups_total", Help: "Entitlements that were shown, by where the answer came from.",
		}, []string{"source"}),
		troubles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chamthe_faults_total", Help: "Faults of check-ins, by code.",
		}, []string{"code"}),
		audited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chamthe_audit_entries_total", Help: "Entries written into the audit trail since the start, by action.",
		}, []string{"action"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "chamthe_build_info", Help: "1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
	})
	info.Set(1)
	m.registry.MustRegister(m.checkIns, m.seconds, m.lookups, m.troubles, m.audited, info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, a := range actions {
		m.audited.WithLabelValues(a)
	}
	for _, o := range outcomes {
		m.checkIns.WithLabelValues(o, wire.MeansChip) // there from the start, so that rates are right
	}
	for _, s := range sources {
		m.lookups.WithLabelValues(s)
	}
	m.registry.MustRegister(&state{src})
	return m
}

// remembered is how many check-ins are known to have been counted: events of one
// come close together.
const remembered = 64

// CheckIn takes the newest state of a check-in. One that has ended is counted once.
func (m *Metrics) CheckIn(c *wire.CheckIn) {
	if c == nil || !wire.Ended(c.State) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.done, c.ID) {
		return
	}
	if m.done = append(m.done, c.ID); len(m.done) > remembered {
		m.done = m.done[1:]
	}
	m.checkIns.WithLabelValues(within(outcomes, c.State), within(means, c.Means)).Inc()
	for step, ms := range c.TimingsMS {
		m.seconds.WithLabelValues(within(m.steps, step)).Observe(ms / 1000)
	}
	if c.Entitlement != nil {
		m.lookups.WithLabelValues(within(sources, c.Entitlement.Source)).Inc()
	}
	if c.Fault != nil {
		m.troubles.WithLabelValues(within(m.faults, c.Fault.Code)).Inc()
	}
}

// Audited counts entries of the audit trail.
func (m *Metrics) Audited(action string) { m.audited.WithLabelValues(action).Inc() }

// Registry returns the registry, for tests and for what else is counted.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// state is what is asked when somebody looks.
type state struct{ src Sources }

var (
	descQueue   = prometheus.NewDesc("chamthe_queue_visits", "Visits on this computer by state.", []string{"state"}, nil)
	descOldest  = prometheus.NewDesc("chamthe_queue_oldest_seconds", "Age of the oldest visit that waits to be sent.", nil, nil)
	descLink    = prometheus.NewDesc("chamthe_link", "1 for the state in which the link to the central service is.", []string{"state"}, nil)
	descReaders = prometheus.NewDesc("chamthe_readers", "Card readers that can be used.", nil, nil)
	descTrouble = prometheus.NewDesc("chamthe_readers_in_trouble", "Card readers that cannot be used.", nil, nil)
	descDamaged = prometheus.NewDesc("chamthe_store_damaged_visits", "Visits that cannot be read.", nil, nil)
	descFree    = prometheus.NewDesc("chamthe_store_free_bytes", "Free space on the disk of the data.", nil, nil)
	descAnchors = prometheus.NewDesc("chamthe_trust_certificates", "Certificates of issuers that are known.", nil, nil)
	descBundle  = prometheus.NewDesc("chamthe_bundle_age_seconds", "Age of the insurer's list.", []string{"kind"}, nil)
	descLost    = prometheus.NewDesc("chamthe_log_lost_lines_total", "Lines of the log that could not be written since the start.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descQueue, descOldest, descLink, descReaders, descTrouble, descDamaged, descFree, descAnchors, descBundle, descLost} {
		ch <- d
	}
}

// lookTime bounds asking for the state.
const lookTime = 5 * time.Second

// Collect implements [prometheus.Collector].
func (s *state) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if s.src.LogLost != nil {
		ch <- prometheus.MustNewConstMetric(descLost, prometheus.CounterValue, float64(s.src.LogLost()))
	}
	if s.src.Status == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	st, err := s.src.Status(ctx)
	if err != nil {
		return // gaps show; wrong figures do not
	}
	q := st.Queue
	for name, n := range map[string]int{"queued": q.Queued, "stored": q.Stored, "accepted": q.Accepted, "rejected": q.Rejected} {
		gauge(descQueue, float64(n), name)
	}
	oldest := 0.0
	if q.Oldest != nil {
		oldest = max(0, st.Now.Sub(*q.Oldest).Seconds())
	}
	gauge(descOldest, oldest)
	for _, name := range links {
		v := 0.0
		if st.Link.State == name {
			v = 1
		}
		gauge(descLink, v, name)
	}
	good, bad := 0, 0
	for _, r := range st.Readers {
		if r.Trouble == "" {
			good++
		} else {
			bad++
		}
	}
	gauge(descReaders, float64(good))
	gauge(descTrouble, float64(bad))
	gauge(descDamaged, float64(st.Store.Damaged))
	if st.Store.Free >= 0 {
		gauge(descFree, float64(st.Store.Free))
	}
	if st.Trust != nil {
		gauge(descAnchors, float64(st.Trust.Certificates))
	}
	for _, b := range st.Bundles {
		if b.Kind == "population" || b.Kind == "trust" {
			gauge(descBundle, max(0, st.Now.Sub(b.AsOf).Seconds()), b.Kind)
		}
	}
}

// Serve answers GET /metrics on a listener of this computer, which it closes, until
// ctx ends; it returns nil then.
func (m *Metrics) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 2}))
	local := l.Addr().String()
	_, port, err := net.SplitHostPort(local)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	hosts := []string{local, "localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port}
	server := &http.Server{
		// A page in a browser must not read figures by way of a name that leads here.
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			if !slices.Contains(hosts, r.Host) || r.Header.Get("Origin") != "" || r.Header.Get("Referer") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
				http.Error(w, "forbidden", http.StatusForbidden)
				return
			}
			mux.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err = <-served:
		return err
	case <-ctx.Done():
	}
	_ = server.Close() // nobody waits for figures
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

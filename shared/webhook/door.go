package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/service"
)

// Publisher stores events, all or none.
type Publisher interface {
	Publish(ctx context.Context, evs ...events.Event) error
	// Has says whether an event of that id was stored since then.
	Has(ctx context.Context, e events.Event, since time.Time) (bool, error)
	// PutAside keeps a body that can't be read among the dead letters.
	PutAside(ctx context.Context, service, source string, body []byte, reason error) error
}

// Door answers the webhooks of one service's sources.
type Door struct {
	service string
	table   []Provider
	sources atomic.Pointer[map[string]*entry] // by name; replaced whole
	memory  *semaphore.Weighted               // of all bodies being worked on
	bus     Publisher
	log     *slog.Logger
	answers *prometheus.CounterVec
}

type entry struct {
	Source
	provider Provider
	maxBody  int64
	gate     *gate
}

// storeTimeout is how long JetStream may take: Harbor gives up after 3 s.
const storeTimeout = 2500 * time.Millisecond

// New makes the door of a service: it takes the sources whose providers are
// in the table.
func New(name string, cfg service.Config, table []Provider, b Publisher, log *slog.Logger, metrics prometheus.Registerer) (*Door, error) {
	d := &Door{service: name, table: table, bus: b, log: log, memory: semaphore.NewWeighted(allShares), answers: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_webhooks_total", Help: "Webhooks by service, source, HTTP status and reason.",
		ConstLabels: prometheus.Labels{"service": name},
	}, []string{"source", "status", "reason"})}
	if err := d.Reload(cfg); err != nil {
		return nil, err
	}
	if err := metrics.Register(d.answers); err != nil {
		return nil, fmt.Errorf("register metrics of %s: %w", name, err)
	}
	return d, nil
}

// Reload takes up the sources and secrets of a config, all or none. Requests
// under way end with those that they began with.
func (d *Door) Reload(cfg service.Config) error {
	sources := map[string]*entry{}
	for i, s := range cfg.Receivers.Sources {
		at := slices.IndexFunc(d.table, func(p Provider) bool { return p.Name == s.Provider })
		if at < 0 || (d.table[at].Takes != nil && !d.table[at].Takes(s)) {
			continue
		}
		e, err := newEntry(s, d.table[at], cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", cfg.Receivers.Place(i, ""), err)
		}
		if 2*e.maxBody <= allShares {
			e.gate.total = d.memory
		}
		sources[s.Name] = e
	}
	d.sources.Store(&sources)
	return nil
}

func (d *Door) source(name string) (*entry, bool) {
	e, ok := (*d.sources.Load())[name]
	return e, ok
}

// Has says whether the request's source is one of this door's.
func (d *Door) Has(r *http.Request) bool {
	_, ok := d.source(service.SourceOf(r))
	return ok
}

func newEntry(s service.Source, p Provider, cfg service.Config) (*entry, error) {
	e := &entry{provider: p, maxBody: p.MaxBody, Source: Source{Name: s.Name, Host: s.Registry, Aliases: cfg.Aliases(), Config: s}}
	if s.Host != "" {
		e.Host = s.Host
	}
	if s.Registry == "" {
		e.Aliases = cfg.GitAliases()
		maps.Copy(e.Aliases, cfg.Aliases())
	}
	if s.MaxBody > 0 {
		e.maxBody = s.MaxBody
	}
	var err error
	if e.gate, err = newGate(s, p, e.maxBody, cfg.Receivers.Proxies); err != nil {
		return nil, err
	}
	if p.Check != nil {
		if err := p.Check(s); err != nil {
			return nil, err
		}
	}
	if len(s.Secrets) == 0 && !s.Insecure && !p.NoSecrets {
		return nil, fmt.Errorf("secrets: source %q has no secret: anybody could send to it; say insecure: true if that is meant", s.Name)
	}
	for _, secret := range s.Secrets {
		value, err := secret.Read()
		if err != nil {
			return nil, err
		}
		e.Secrets = append(e.Secrets, value)
	}
	return e, nil
}

// Wants says whether the request is for this door, where another one has a
// source of the same name.
func (d *Door) Wants(r *http.Request) bool {
	e, ok := d.source(service.SourceOf(r))
	return ok && (e.provider.Wants == nil || e.provider.Wants(r.Header))
}

// answer is what a request gets.
type answer struct {
	status int
	reason string // for the metric: a word
	detail string // for people
	body   any
	header map[string]string
	bare   bool  // no body at all
	cause  error // for the log alone
}

// ServeHTTP answers one webhook.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	source, a := d.handle(w, r)
	d.answers.WithLabelValues(source, fmt.Sprint(a.status), a.reason).Inc()
	if a.status >= 400 || a.reason == "unreadable" {
		log := d.log
		if a.cause != nil {
			log = log.With("error", a.cause)
		}
		log.WarnContext(r.Context(), "webhook refused", "source", source, "status", a.status, "reason", a.reason, "detail", a.detail)
	}
	write(w, r, a)
}

func write(w http.ResponseWriter, r *http.Request, a answer) {
	body, kind := a.body, "application/json"
	if a.status >= 400 {
		kind = "application/problem+json" // RFC 9457
		body = map[string]any{"title": http.StatusText(a.status), "status": a.status, "detail": a.detail}
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	// Of a chunked body a proxy may see another end than we: nothing behind it
	// is read as a request (net/http takes Content-Length with chunked).
	if a.status == http.StatusRequestEntityTooLarge || a.status == http.StatusRequestTimeout || len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
	if a.bare {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(body) // the sender is gone: nobody to tell
	}
}

// unknown is the answer to an unknown source and to a wrong token alike.
var unknown = answer{status: http.StatusNotFound, reason: "unknown", detail: "there is no such webhook: POST to /hooks/{source} as the receiver's config names it"}

// handle does the work in the order that makes hostile requests cheap:
// method, source, headers, body, proof, parse, store.
func (d *Door) handle(w http.ResponseWriter, r *http.Request) (source string, a answer) {
	e, tokenFits, ok := d.find(r)
	if r.Method == http.MethodOptions && ok && e.provider.Options != nil {
		return e.Name, e.provider.Options(Request{Header: r.Header, Query: r.URL.Query(), TokenFits: tokenFits}, e.Source).answer("handshake")
	}
	if r.Method != http.MethodPost {
		return "", answer{status: http.StatusMethodNotAllowed, reason: "method", detail: "webhooks are sent by POST", header: map[string]string{"Allow": http.MethodPost}}
	}
	if !ok {
		return "", unknown
	}
	if r.Header.Get("Content-Encoding") != "" {
		return e.Name, answer{status: http.StatusUnsupportedMediaType, reason: "encoding", detail: "no Content-Encoding is taken: send the body as it is"}
	}
	if refusal := e.gate.pass(r); refusal != nil {
		return e.Name, *refusal
	}
	body, done, err := e.read(w, r)
	defer done()
	if err != nil {
		return e.Name, e.unread(err)
	}
	req := Request{Header: r.Header, Query: r.URL.Query(), TokenFits: tokenFits, Body: body}
	if err := e.verify(r.Context(), req); err != nil {
		return e.Name, unproved(err)
	}
	delivery, err := e.provider.Read(req, e.Source)
	if err != nil {
		return e.Name, d.unparsed(r.Context(), e, req, err)
	}
	return e.Name, d.store(r.Context(), e, req, delivery)
}

// unproved answers a request whose proof doesn't hold, or can't be held now.
func unproved(err error) answer {
	switch {
	case errors.Is(err, ErrForbidden):
		return answer{status: http.StatusForbidden, reason: "forbidden", detail: err.Error()}
	case errors.Is(err, ErrProof):
		return answer{status: http.StatusUnauthorized, reason: "proof", detail: "the request does not prove its sender: check the secret on both sides", cause: err}
	default:
		return answer{status: http.StatusServiceUnavailable, reason: "keys", detail: "the proof can't be checked now: send it again", cause: err}
	}
}

func (r Reply) answer(reason string) answer {
	return answer{status: r.Status, reason: reason, header: r.Header, body: r.Body, bare: r.Body == nil}
}

// find gives the source of the path /hooks/{source}[/{token}]. A token, where
// the path has one, must be one of the secrets.
func (d *Door) find(r *http.Request) (e *entry, tokenFits, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), service.HookPrefix)
	if !ok {
		return nil, false, false
	}
	name, token, hasToken := strings.Cut(rest, "/")
	e, ok = d.source(name)
	if !hasToken {
		return e, false, ok
	}
	var secrets []string
	if ok {
		secrets = e.Secrets
	}
	token, err := url.PathUnescape(token)
	if err != nil {
		return nil, false, false
	}
	fits := 0
	for _, s := range secrets {
		fits |= equal(token, s)
	}
	return e, fits == 1, fits == 1
}

func (e *entry) verify(ctx context.Context, r Request) error {
	switch {
	case e.Config.Insecure && len(e.Secrets) == 0:
		return nil
	case e.provider.Prove != nil:
		return e.provider.Prove(ctx, r, e.Source)
	default:
		return e.provider.Verify(r, e.Secrets)
	}
}

// maxDetail bounds what an error may repeat of the sender's words.
const maxDetail = 500

// unparsed answers a body that is verified and can't be read. Where a 4xx
// would make the sender stop it is taken, and put aside for a person to see.
func (d *Door) unparsed(ctx context.Context, e *entry, r Request, err error) answer {
	detail := err.Error()
	detail = strings.ToValidUTF8(detail[:min(len(detail), maxDetail)], "")
	switch {
	case e.provider.Blocks:
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := d.bus.PutAside(ctx, d.service, e.Name, r.Body, errors.New(detail)); err != nil {
			return notStored(err)
		}
		return answer{status: http.StatusAccepted, reason: "unreadable", detail: detail, body: accepted{Events: []told{}, Ignored: []string{detail}}}
	case errors.Is(err, ErrContentType):
		return answer{status: http.StatusUnsupportedMediaType, reason: "type", detail: detail}
	default:
		return answer{status: http.StatusBadRequest, reason: "body", detail: detail}
	}
}

// notStored is the answer while JetStream can't store: the sender tries again.
func notStored(err error) answer {
	return answer{status: http.StatusServiceUnavailable, reason: "store", detail: "the event can't be stored now: send it again", cause: err}
}

// accepted is the body of a 202.
type accepted struct {
	ChainID string   `json:"chainId"`
	Events  []told   `json:"events"`
	Ignored []string `json:"ignored,omitempty"`
}

type told struct {
	ID      string      `json:"id"`
	Type    events.Type `json:"type"`
	Subject string      `json:"subject"`
}

// store publishes the delivery's events and answers when they are safe.
func (d *Door) store(ctx context.Context, e *entry, r Request, delivery Delivery) answer {
	if delivery.Reply != nil && len(delivery.Items) == 0 {
		return delivery.Reply.answer("handshake")
	}
	if len(delivery.Items) > bus.MaxBatch && e.provider.Blocks {
		return d.unparsed(ctx, e, r, fmt.Errorf("%w: it has %d items; at most %d are stored together", ErrTooLarge, len(delivery.Items), bus.MaxBatch))
	}
	if len(delivery.Items) > bus.MaxBatch {
		return answer{status: http.StatusRequestEntityTooLarge, reason: "items", detail: fmt.Sprintf("the body has %d items; at most %d are stored together", len(delivery.Items), bus.MaxBatch)}
	}
	out := accepted{Events: []told{}, Ignored: delivery.Ignored}
	all, err := Events(d.service, e.Source, r, delivery, time.Now())
	if err != nil {
		return d.unparsed(ctx, e, r, fmt.Errorf("%w: %w", ErrBody, err))
	}
	for _, ev := range all {
		out.ChainID = ev.ChainID
		out.Events = append(out.Events, told{ev.ID, ev.Type(), ev.Payload.SubjectID()})
	}
	if len(all) > 0 {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := d.keep(ctx, all); err != nil {
			return notStored(err)
		}
	}
	if delivery.Reply != nil {
		return delivery.Reply.answer("handshake")
	}
	reason := "stored"
	if len(all) == 0 {
		reason = "ignored"
	}
	return answer{status: http.StatusAccepted, reason: reason, body: out}
}

// Package server is the automator's HTTP API: votes, holds and rollbacks, by
// people whom the config names.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/promote"
)

// Proposals are what people decide on.
type Proposals interface {
	All() []approval.Proposal
	Find(id string) (approval.Proposal, error)
	Vote(ctx context.Context, id string, v approval.Vote) (approval.Proposal, error)
}

// Applications take requests for what they have in Git.
type Applications interface {
	// Ask has a request done; it is durable when it returns.
	Ask(ctx context.Context, q promote.Request) error
	// May says why a person has no say over an application; nil when there is.
	May(ctx context.Context, application, image, person string, groups []string) error
	// Holds are those in force.
	Holds(ctx context.Context) ([]promote.Held, error)
}

// Server answers below /v1/.
type Server struct {
	People       People
	Proposals    Proposals
	Applications Applications
	Log          *slog.Logger
	Now          func() time.Time
}

// maxBody bounds a request, in bytes.
const maxBody = 64 << 10

// Handler is the API. Every request needs a person's token.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request, Person) (any, error){
		"GET /v1/approvals":             s.list,
		"GET /v1/approvals/{id}":        s.show,
		"POST /v1/approvals/{id}/votes": s.vote,
		"GET /v1/holds":                 s.holds,
		"POST /v1/requests":             s.request,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := s.as(r, answer)
			s.write(w, r, body, err)
		})
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { s.write(w, r, nil, errNowhere) })
	return mux
}

var (
	errNowhere = errors.New("there is no such resource")
	errBody    = errors.New("the body is not right")
)

func (s *Server) as(r *http.Request, answer func(*http.Request, Person) (any, error)) (any, error) {
	who, err := s.People.Who(r)
	if err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	return answer(r, who)
}

// list gives the proposals that are open, or with ?state=all all that are
// kept.
func (s *Server) list(r *http.Request, _ Person) (any, error) {
	state := r.URL.Query().Get("state")
	if state != "" && state != "open" && state != "all" {
		return nil, fmt.Errorf("%w: state %q is neither open nor all", errBody, state)
	}
	all := []view{}
	for _, p := range s.Proposals.All() {
		if p.Status == "" || state == "all" {
			all = append(all, s.view(p))
		}
	}
	return all, nil
}

// view is a proposal as it is shown.
type view struct {
	approval.Proposal
	State  string `json:"state"` // open, or how it ended
	Needed int    `json:"needed"`
	// Approvers are those whose approval counts so far.
	Approvers []string `json:"approvers"`
}

func (s *Server) view(p approval.Proposal) view {
	v := view{Proposal: p, State: p.Status, Needed: p.Approvals.Needed(), Approvers: p.Verdict(s.Now()).Approvers}
	v.Untold = nil
	if v.State == "" {
		v.State = "open"
	}
	if v.Approvers == nil {
		v.Approvers = []string{}
	}
	return v
}

func (s *Server) show(r *http.Request, _ Person) (any, error) {
	p, err := s.Proposals.Find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.view(p), nil
}

func (s *Server) vote(r *http.Request, who Person) (any, error) {
	var body struct {
		Decision        string `json:"decision"`
		Comment         string `json:"comment"`
		OverridesFreeze bool   `json:"overridesFreeze"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	p, err := s.Proposals.Vote(r.Context(), r.PathValue("id"), approval.Vote{
		Person: who.Name, Account: who.Account, Groups: who.Groups, Decision: body.Decision, Comment: body.Comment,
		At: s.Now().UTC(), OverridesFreeze: body.OverridesFreeze,
	})
	if err != nil {
		return nil, err
	}
	s.Log.InfoContext(r.Context(), "a person voted", "person", who.Name, "application", p.Application, "to", p.To, "decision", body.Decision)
	return s.view(p), nil
}

func (s *Server) holds(r *http.Request, _ Person) (any, error) {
	all, err := s.Applications.Holds(r.Context())
	if all == nil {
		all = []promote.Held{}
	}
	return all, err
}

// asked is the answer to a request: what becomes of it is told in its chain.
type asked struct {
	ChainID string `json:"chainId"`
}

// request takes a rollback, a hold or a release.
func (s *Server) request(r *http.Request, who Person) (any, error) {
	var body struct {
		Kind        promote.Kind `json:"kind"`
		Application string       `json:"application"`
		Image       string       `json:"image"`
		To          string       `json:"to"`
		Digest      string       `json:"digest"`
		Tag         string       `json:"tag"`
		Until       *time.Time   `json:"until"`
		Reason      string       `json:"reason"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	q := promote.Request{
		ID: events.ChainFor("request", uuid.NewString()), Kind: body.Kind, Application: body.Application, Image: body.Image, To: body.To,
		Digest: body.Digest, Tag: body.Tag, Until: body.Until, Reason: body.Reason, By: who.Name, At: s.Now().UTC(),
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if err := s.Applications.May(r.Context(), q.Application, q.Image, who.Name, who.Groups); err != nil {
		return nil, err
	}
	if err := s.Applications.Ask(r.Context(), q); err != nil {
		return nil, err
	}
	s.Log.InfoContext(r.Context(), "a person asked", "person", who.Name, "kind", string(q.Kind), "application", q.Application)
	return asked{q.ID}, nil
}

// read takes one JSON object, strictly.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the object", errBody)
	}
	return nil
}

// statuses are what a refusal is answered with.
var statuses = []struct {
	err    error
	status int
}{
	{errWho, http.StatusUnauthorized},
	{errNobody, http.StatusForbidden},
	{errNowhere, http.StatusNotFound},
	{errBody, http.StatusBadRequest},
	{approval.ErrUnknown, http.StatusNotFound},
	{approval.ErrMayNot, http.StatusForbidden},
	{approval.ErrClosed, http.StatusConflict},
	{approval.ErrVote, http.StatusBadRequest},
	{promote.ErrRequest, http.StatusBadRequest},
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, body any, err error) {
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		if _, later := body.(asked); later {
			w.WriteHeader(http.StatusAccepted)
		}
		_ = json.NewEncoder(w).Encode(body) // the caller is gone: nobody to tell
		return
	}
	status, detail, after := http.StatusServiceUnavailable, "it can't be stored now: send it again", "1"
	if errors.Is(err, errIssuer) {
		detail, after = errIssuer.Error(), "5" // no sooner is it asked again
	}
	for _, known := range statuses {
		if errors.Is(err, known.err) {
			status, detail = known.status, err.Error()
			break
		}
	}
	switch status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", after)
		s.Log.ErrorContext(r.Context(), "a request could not be served", "path", r.URL.Path, "error", err)
	case http.StatusUnauthorized:
		if why, ok := errors.AsType[refused](err); ok {
			detail = errWho.Error()
			s.Log.InfoContext(r.Context(), "a token is refused", "reason", why.Error())
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json") // RFC 9457
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

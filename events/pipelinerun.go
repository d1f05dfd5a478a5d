package events

import (
	"errors"
	"fmt"
	"slices"
)

// Run is one pass of the synchronizer over an application.
type Run struct {
	Application string   `json:"application"`
	Commit      string   `json:"commit"`
	Images      []string `json:"images,omitempty"` // whole references
}

// Key is the application.
func (r Run) Key() string { return r.Application }

// SubjectID is "<application>@<commit>".
func (r Run) SubjectID() string { return r.Application + "@" + r.Commit }

// Validate wants an application.
func (r Run) Validate() error { return validApplication(r.Application) }

// uri is what CDEvents demands of a run: a URI that tells it.
func (r Run) uri() string { return "slipway:" + r.Application }

type runContent struct {
	PipelineName string `json:"pipelineName"`
	URI          string `json:"uri"`
	Outcome      string `json:"outcome,omitempty"`
	Errors       string `json:"errors,omitempty"`
}

// PipelineRunStarted says that a sync of an application began.
type PipelineRunStarted struct{ Run }

// Type is [PipelineRunStartedType].
func (PipelineRunStarted) Type() Type { return PipelineRunStartedType }

func (p PipelineRunStarted) halves() (content, custom any) {
	return runContent{PipelineName: p.Application, URI: p.uri()}, p.Run
}

func decodePipelineRunStarted(h halves) (Payload, error) {
	var p PipelineRunStarted
	err := h.into(nil, &p.Run)
	return p, err
}

// The outcomes of a run, as CDEvents names them.
const (
	Success = "success"
	Failure = "failure" // applied, and not healthy
	Cancel  = "cancel"  // a newer commit took its place
	Error   = "error"   // it could not be rendered or applied
)

// Counts says what a sync did to the cluster, in objects.
type Counts struct {
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Pruned    int `json:"pruned"`
	Failed    int `json:"failed"`
}

// PipelineRunFinished says how a sync ended: applied and, where the
// application waits for it, healthy.
type PipelineRunFinished struct {
	Run
	Outcome string `json:"-"`
	Errors  string `json:"-"` // one fault a line
	Counts  Counts `json:"counts"`
	// LastHealthy is the commit at which the application was last healthy.
	LastHealthy string `json:"lastHealthy,omitempty"`
}

// Type is [PipelineRunFinishedType].
func (PipelineRunFinished) Type() Type { return PipelineRunFinishedType }

// Validate wants an outcome of CDEvents.
func (p PipelineRunFinished) Validate() error {
	var fault error
	if !slices.Contains([]string{Success, Failure, Cancel, Error}, p.Outcome) {
		fault = fmt.Errorf("outcome %q is none of success, failure, cancel, error", p.Outcome)
	}
	return errors.Join(fault, p.Run.Validate())
}

func (p PipelineRunFinished) halves() (content, custom any) {
	return runContent{p.Application, p.uri(), p.Outcome, p.Errors}, p
}

func decodePipelineRunFinished(h halves) (Payload, error) {
	var content runContent
	var p PipelineRunFinished
	err := h.into(&content, &p)
	p.Outcome, p.Errors = content.Outcome, content.Errors
	return p, err
}

package render

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"path"
	"runtime"

	"github.com/slipway-cd/slipway/shared/render/sandbox"
)

// job is what a child gets: a kustomization, or all that a chart is made of.
type job struct {
	Kustomization *kustomization

	Chart       string // its path in the repository, for errors
	Packed      bool   // Files are one archive
	Files       []file
	ValuesFiles []file
	ValuesFrom  []ClusterValues
	Values      []byte // JSON
	Inline      []byte // JSON, which Merge says how to put to the first of ValuesFiles; may be empty
	Merge       string
	ReleaseName string
	Namespace   string
	KubeVersion string
	APIVersions []string
	Limits      Limits
	Used        int64 // of Limits.TotalBytes
	Cluster     bool  // there is one to be asked
}

// file is one of a job; those of the chart are named from its folder on.
type file struct {
	Name string
	Data []byte
}

// done is what a child answers: what helm prints, in pieces, what kustomize
// built, or a fault.
type done struct {
	Pieces []piece
	Built  []built
	Fault  fault
}

// fault is an [Error] on the wire, without its cause.
type fault struct {
	File          string
	Line          int
	Reason        Reason
	Message, Help string
}

// children run Helm and kustomize. A few more than processors: one that loops is no reason
// for others to wait.
var children = sandbox.New(max(4, runtime.GOMAXPROCS(0)))

// runJob lets a child do a job, and answers its questions.
func runJob(ctx context.Context, j job, answers func([]byte) []byte) (done, error) {
	var request bytes.Buffer
	if err := gob.NewEncoder(&request).Encode(j); err != nil {
		return done{}, err
	}
	data, err := children.Call(ctx, request.Bytes(), answers, sandbox.Limits{Time: j.Limits.Time, Memory: j.Limits.Memory, Output: j.Limits.TotalBytes + 1<<20})
	if err != nil {
		return done{}, err
	}
	return readDone(j.place(), data)
}

// place is the file to blame where nothing better is known.
func (j job) place() string {
	if j.Kustomization != nil {
		return j.Kustomization.File
	}
	return path.Join(j.Chart, chartFile)
}

func readDone(place string, data []byte) (done, error) {
	var answer done
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&answer); err != nil {
		return done{}, &Error{File: place, Reason: ReasonBuild, Message: "the answer can't be read: " + err.Error(), Err: err}
	}
	if f := answer.Fault; f != (fault{}) {
		return done{}, &Error{File: f.File, Line: f.Line, Reason: f.Reason, Message: f.Message, Help: f.Help}
	}
	return answer, nil
}

// childError says what became of a child that didn't answer.
func childError(what, place string, err error) error {
	limit, ok := errors.AsType[*sandbox.LimitError](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, new(*Error)):
		return err
	case !ok:
		return &Error{File: place, Reason: ReasonBuild, Message: what + " can't be rendered: " + err.Error(), Err: err}
	}
	help := map[sandbox.Limit]string{
		sandbox.Time:   "look for a template that loops or bases that multiply, or split it",
		sandbox.Memory: "look for a template that grows without end or bases that multiply, or split it",
		sandbox.Output: "split it",
		sandbox.Killed: "give the container more memory",
	}[limit.Limit]
	return &Error{File: place, Reason: ReasonLimit, Message: what + " can't be rendered: " + limit.Error(), Help: help, Err: err}
}

// Child makes this process able to render charts and kustomizations. It is the
// first thing that main does, and in a test TestMain: they are rendered in a
// child process of the same binary, in which it doesn't return.
func Child() { sandbox.Serve(doJob) }

// doJob is a child's whole work.
func doJob(request []byte, ask sandbox.Ask) []byte {
	var j job
	var answer done
	err := gob.NewDecoder(bytes.NewReader(request)).Decode(&j)
	switch {
	case err != nil:
	case j.Kustomization != nil:
		answer.Built, err = j.Kustomization.build(ask)
	default:
		answer.Pieces, err = j.inflate(ask)
	}
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{File: j.place(), Reason: ReasonBuild, Message: "helm: " + oneLine(err.Error())}
		}
		answer = done{Fault: fault{e.File, e.Line, e.Reason, e.Message, e.Help}}
	}
	var data bytes.Buffer
	if err := gob.NewEncoder(&data).Encode(answer); err != nil {
		panic(fmt.Sprintf("write an answer: %v", err)) // plain data
	}
	return data.Bytes()
}

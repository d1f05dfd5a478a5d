package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers are what a host says, one after the other; the last stays.
type answers struct {
	list  []http.Header // "Status" is the status
	times []time.Duration
	begin time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	h := a.list[min(len(a.times), len(a.list)-1)]
	a.times = append(a.times, time.Since(a.begin))
	status := http.StatusOK
	switch h.Get("Status") {
	case "429":
		status = http.StatusTooManyRequests
	case "503":
		status = http.StatusServiceUnavailable
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func says(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestARegistryIsLeftAloneForAsLongAsItSays(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		answers  []http.Header
		requests int
		deadline time.Duration
		asked    []time.Duration // when the host was asked
		limited  time.Duration   // until when the last request was limited; 0: it was answered
	}{
		"nothing":                {[]http.Header{says()}, 3, 10 * s, []time.Duration{0, 0, 0}, 0},
		"seconds":                {[]http.Header{says("Status", "429", "Retry-After", "7"), says()}, 1, 10 * s, []time.Duration{0, 7 * s}, 0},
		"twice":                  {[]http.Header{says("Status", "429", "Retry-After", "2"), says("Status", "429", "Retry-After", "3"), says()}, 1, 10 * s, []time.Duration{0, 2 * s, 5 * s}, 0},
		"date":                   {[]http.Header{says("Status", "503", "Retry-After", "Sat, 01 Jan 2000 00:00:04 GMT"), says()}, 1, 10 * s, []time.Duration{0, 4 * s}, 0},
		"date that is over":      {[]http.Header{says("Status", "429", "Retry-After", "Fri, 31 Dec 1999 00:00:04 GMT"), says()}, 1, 10 * s, []time.Duration{0, 0}, 0},
		"503 without a time":     {[]http.Header{says("Status", "503")}, 1, 10 * s, []time.Duration{0}, 0},
		"longer than we have":    {[]http.Header{says("Status", "429", "Retry-After", "60")}, 3, 10 * s, []time.Duration{0}, 60 * s},
		"longer than anybody":    {[]http.Header{says("Status", "429", "Retry-After", "2000000000")}, 1, 10 * s, []time.Duration{0}, time.Hour},
		"429 without a time":     {[]http.Header{says("Status", "429")}, 1, 10 * s, []time.Duration{0, s, 3 * s, 7 * s}, 15 * s},
		"nonsense":               {[]http.Header{says("Status", "429", "Retry-After", "soon"), says()}, 1, 10 * s, []time.Duration{0, s}, 0},
		"Docker Hub":             {[]http.Header{says("RateLimit-Limit", "100;w=21600", "RateLimit-Remaining", "76;w=21600"), says()}, 2, 10 * s, []time.Duration{0, 0}, 0},
		"used up, in seconds":    {[]http.Header{says("RateLimit-Remaining", "0", "RateLimit-Reset", "5"), says()}, 2, 10 * s, []time.Duration{0, 5 * s}, 0},
		"used up, by the clock":  {[]http.Header{says("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1000000000"), says()}, 2, 10 * s, []time.Duration{0}, time.Hour},
		"used up, in one field":  {[]http.Header{says("RateLimit", `"default";r=0;t=6`), says()}, 2, 10 * s, []time.Duration{0, 6 * s}, 0},
		"used up, older field":   {[]http.Header{says("RateLimit", `limit=100, remaining=0, reset=6`), says()}, 2, 10 * s, []time.Duration{0, 6 * s}, 0},
		"used up, without time":  {[]http.Header{says("RateLimit-Remaining", "0;w=21600"), says()}, 2, 10 * s, []time.Duration{0, 0}, 0},
		"refusal tells the rest": {[]http.Header{says("Status", "429", "RateLimit-Remaining", "0", "RateLimit-Reset", "5"), says()}, 1, 10 * s, []time.Duration{0, 5 * s}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // its clock begins on 1 January 2000
				a := &answers{list: c.answers, begin: time.Now()}
				p := newPatient(a)
				var last error
				for range c.requests {
					ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
					last = ask(ctx, t, p)
					cancel()
				}
				if len(a.times) != len(c.asked) {
					t.Fatalf("asked at %v, want %v", a.times, c.asked)
				}
				for i := range a.times {
					if a.times[i] != c.asked[i] {
						t.Fatalf("asked at %v, want %v", a.times, c.asked)
					}
				}
				limit, limited := errors.AsType[*LimitError](last)
				if limited != (c.limited != 0) || (limited && limit.Until.Sub(a.begin) != c.limited) {
					t.Fatalf("the last request gives %v, want a limit until %v", last, c.limited)
				}
			})
		})
	}
}

func ask(ctx context.Context, t *testing.T, p *patient) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://registry.example.com/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.RoundTrip(req)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

func TestOneHostsLimitIsNotAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(&answers{begin: time.Now(), list: []http.Header{says("Status", "429", "Retry-After", "100"), says()}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, limited := errors.AsType[*LimitError](ask(ctx, t, p)); !limited {
			t.Fatal("the first host doesn't limit")
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://other.example.com/v2/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	})
}

func FuzzPauseOf(f *testing.F) {
	f.Add("7", "0;w=21600", "5", `"default";r=0;t=6`)
	f.Add("Sat, 01 Jan 2000 00:00:04 GMT", "-1", "946684806", "limit=100, remaining=0, reset=6")
	f.Fuzz(func(t *testing.T, after, remaining, reset, field string) {
		h := http.Header{"Retry-After": {after}, "Ratelimit-Remaining": {remaining}, "Ratelimit-Reset": {reset}, "Ratelimit": {field}}
		if wait, told := pauseOf(h, time.Now()); wait < 0 || (wait > 0 && !told) {
			t.Fatalf("%v: %v, %v", h, wait, told)
		}
	})
}

package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
)

// Approvals say whose votes a proposal needs.
type Approvals struct {
	// Count is how many people must approve; 1 when zero.
	Count int `json:"count,omitempty"`
	// From are people ("maria") and groups ("group:leads"); none means
	// everyone whom the automator's config names.
	From []string `json:"from,omitempty"`
	// Deadline closes a proposal that nobody decided on; without it, it stays
	// open.
	Deadline *Duration `json:"deadline,omitempty"`
	// AllowAuthor lets who pushed the image vote too.
	AllowAuthor bool `json:"allowAuthor,omitempty"`
}

// Needed is the number of votes that approve.
func (a *Approvals) Needed() int {
	if a == nil || a.Count < 1 {
		return 1
	}
	return a.Count
}

// Allows says whether a person of these groups may vote.
func (a *Approvals) Allows(person string, groups []string) bool {
	if a == nil || len(a.From) == 0 {
		return true
	}
	return slices.ContainsFunc(a.From, func(from string) bool {
		group, isGroup := strings.CutPrefix(from, "group:")
		if isGroup {
			return slices.Contains(groups, group)
		}
		return from == person
	})
}

// Freeze is a window in which nothing is deployed: it begins whenever Cron
// says, and lasts.
type Freeze struct {
	// Cron has five fields: minute, hour, day of month, month, day of week.
	Cron     string   `json:"cron"`
	Duration Duration `json:"duration"`
	// Timezone is of the IANA database; UTC when empty.
	Timezone string `json:"timezone,omitempty"`
}

// Verify wants an image signed before it is deployed.
type Verify struct {
	Cosign *Cosign `json:"cosign,omitempty"`
}

// Cosign wants a signature by one of the keys, or by one of the identities:
// exactly one of the two is given.
type Cosign struct {
	// Key is public keys in PEM form, or a path to them beside the policy's
	// file.
	Key string `json:"key,omitempty"`
	// Keyless are identities.
	Keyless *Keyless `json:"keyless,omitempty"`
}

func (v *Verify) validate() error {
	switch {
	case v == nil:
		return nil
	case v.Cosign == nil, strings.TrimSpace(v.Cosign.Key) == "" && v.Cosign.Keyless == nil:
		return errors.New("cosign.key (public keys in PEM form, or a path to them beside this file) or cosign.keyless is required")
	case v.Cosign.Keyless == nil:
		return nil
	case v.Cosign.Key != "":
		return errors.New("cosign: give either key or keyless, not both")
	}
	if err := validateIdentities(v.Cosign.Keyless.Identities); err != nil {
		return fmt.Errorf("cosign.keyless: %w", err)
	}
	return nil
}

// After wants an image to run elsewhere first.
type After struct {
	// Application is the one that must run it: cluster/namespace/name, in
	// which {cluster}, {namespace} and {name} stand for those of the
	// application that is decided on.
	Application string `json:"application"`
	// Same says what must be equal: [SameDigest], the default, or
	// [SameRevision].
	Same Same `json:"same,omitempty"`
	// HealthyFor is how long it must have been healthy there.
	HealthyFor *Duration `json:"healthyFor,omitempty"`
}

// Same is what makes two applications run the same.
type Same string

// What may have to be equal.
const (
	SameDigest Same = "digest" // the image; the default
	// SameRevision is the commit that the image was built of, by its label
	// org.opencontainers.image.revision: the images may be built for each
	// environment.
	SameRevision Same = "revision"
)

func (s Same) validate() error {
	if !slices.Contains([]Same{"", SameDigest, SameRevision}, s) {
		return fmt.Errorf("same %q is neither digest nor revision", string(s))
	}
	return nil
}

// Of gives the application that must run an image before another one.
func (a *After) Of(app events.Application) (events.Application, error) {
	return another(a.Application, app)
}

// another fills {cluster}, {namespace} and {name} in a pattern with those of an
// application; the result must be another one.
func another(pattern string, a events.Application) (events.Application, error) {
	name := strings.NewReplacer("{cluster}", a.Cluster, "{namespace}", a.Namespace, "{name}", a.Name).Replace(pattern)
	if strings.ContainsAny(name, "{}") {
		return events.Application{}, fmt.Errorf("application %q: the placeholders are {cluster}, {namespace} and {name}", pattern)
	}
	other, err := events.ParseApplication(name)
	if err != nil {
		return events.Application{}, err
	}
	if other == a {
		return events.Application{}, fmt.Errorf("application %q: %s would wait for itself", pattern, a)
	}
	return other, nil
}

// validAnother checks a pattern for [another].
func validAnother(pattern string) error {
	_, err := another(pattern, events.Application{Cluster: "c", Namespace: "ns", Name: "n"})
	if pattern == "c/ns/n" {
		return nil // it is the example that would wait for itself
	}
	return err
}

func (a *Approvals) validate() error {
	if a == nil {
		return nil
	}
	var faults []error
	if a.Count < 0 {
		faults = append(faults, errors.New("count is negative"))
	}
	named := 0
	for i, from := range a.From {
		if strings.TrimPrefix(from, "group:") == "" {
			faults = append(faults, fmt.Errorf("from[%d] is empty", i))
		}
		if !strings.HasPrefix(from, "group:") {
			named++
		}
	}
	if named > 0 && named == len(a.From) && a.Needed() > named {
		faults = append(faults, fmt.Errorf("count is %d, and from names %d people: nothing could be approved", a.Needed(), named))
	}
	return errors.Join(faults...)
}

func (f Freeze) validate() error {
	var faults []error
	if len(strings.Fields(f.Cron)) != 5 {
		faults = append(faults, fmt.Errorf("cron %q has not five fields: minute, hour, day of month, month, day of week", f.Cron))
	}
	if f.Duration <= 0 {
		faults = append(faults, errors.New("duration is required"))
	}
	if _, err := time.LoadLocation(f.Timezone); err != nil {
		faults = append(faults, fmt.Errorf("timezone %q is not known: use a name such as Europe/Berlin", f.Timezone))
	}
	return errors.Join(faults...)
}

func (a *After) validate() error {
	if a == nil {
		return nil
	}
	var faults []error
	if err := validAnother(a.Application); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(append(faults, a.Same.validate())...)
}

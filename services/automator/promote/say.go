package promote

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/shared/api"
)

// May says why a person has no say over an application's image, or over any of
// its images where none is named; nil when there is one. Who may approve may
// hold and roll back.
func (all *Repos) May(ctx context.Context, application, image, person string, groups []string) error {
	_, s, app, err := all.application(ctx, application)
	if err != nil {
		return err
	}
	for repo := range repositories(app) {
		if image != "" && image != repo.String() {
			continue
		}
		rule, _ := find(s.Rules, app.Name, repo)
		if rule != nil && rule.broken == nil && !rule.Approvals.Allows(person, groups) {
			return fmt.Errorf("%w: rule %s asks %s", approval.ErrMayNot, rule.Name, strings.Join(rule.Approvals.From, ", "))
		}
	}
	return nil
}

// Held is a hold as it stands in Git, or waits to be merged.
type Held struct {
	Repository events.GitRepository `json:"repository"`
	api.HoldSpec
	// Waits is the pull request that brings it to Git; empty where it is there.
	Waits string `json:"waits,omitempty"`
}

// Holds lists the holds of all repositories, by application.
func (all *Repos) Holds(ctx context.Context) ([]Held, error) {
	if err := all.Catch(ctx); err != nil {
		return nil, fmt.Errorf("list the holds: %w", err)
	}
	var list []Held
	for _, r := range all.byKey {
		s := r.State()
		if s == nil {
			continue
		}
		for _, h := range s.holds {
			for _, hold := range h.list {
				list = append(list, Held{r.Name, hold.Spec, ""})
			}
		}
		list = append(list, all.waitingHolds(r)...)
	}
	slices.SortFunc(list, func(a, b Held) int {
		return strings.Compare(a.Application+" "+a.Image+" "+a.Digest+a.Tag, b.Application+" "+b.Image+" "+b.Digest+b.Tag)
	})
	return list, nil
}

// waitingHolds are those of a repository that wait to be merged: they are in
// force.
func (all *Repos) waitingHolds(r *Repository) []Held {
	if all.Waiting == nil {
		return nil
	}
	var list []Held
	for _, v := range all.Waiting.All() {
		if v.Value.Repo != r.Key {
			continue
		}
		for _, h := range v.Value.held(heldVersions{}).list {
			list = append(list, Held{r.Name, h.Spec, cmp.Or(v.Value.URL, "its pull request")})
		}
	}
	return list
}

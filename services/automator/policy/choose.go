package policy

import (
	"slices"

	"github.com/slipway-cd/slipway/shared/api"
)

// Choose decides. It is a pure function of its arguments, and the order of
// the tags doesn't matter.
func Choose(track api.Track, q Question) (Choice, error) {
	r, err := read(track, q)
	if err != nil {
		return Choice{}, err
	}
	c := Choice{Verdicts: r.verdicts}
	if len(r.candidates) == 0 {
		c.Reason = "no tag is a candidate"
		return c, nil
	}
	c.conclude(r, q.AllowDowngrade)
	return c, nil
}

// Undated gives the tags whose times the choice depends on and that have none,
// each once. The tag in use may be one of them.
func Undated(track api.Track, q Question) ([]string, error) {
	r, err := read(track, q)
	if err != nil {
		return nil, err
	}
	if top := r.top(); dated(top) {
		for _, c := range top {
			if c.tag.Created.IsZero() {
				r.undated = append(r.undated, c.tag.Name)
			}
		}
	}
	slices.Sort(r.undated)
	return slices.Compact(r.undated), nil
}

// conclude says whether to move, and writes the verdicts on the candidates.
func (c *Choice) conclude(r *reading, downgrade bool) {
	top := r.top()
	best := slices.MinFunc(top, func(a, b candidate) int { return a.before(b, r.now, dated(top)) })
	move, why := r.moves(best, dated(top), downgrade)
	for _, k := range r.candidates {
		v := &c.Verdicts[k.at]
		switch {
		case k.at == best.at && move:
			v.Chosen, v.Reason = true, why
		case k.tag.Name == best.tag.Name && move:
			v.Reason = "is there more than once"
		case k.tag.Name == r.current.Name:
			v.Reason = "is the current tag"
		case k.tag.Name == best.tag.Name:
			v.Reason = why
		case r.now != nil && k.value.compare(r.now.key) < 0:
			v.Reason = "is older than the current " + r.current.Name
		default:
			v.Reason = best.tag.Name + " is better"
		}
	}
	c.Reason = best.tag.Name + " " + why
	switch {
	case move:
		c.Tag, c.Digest = best.tag.Name, best.tag.Digest
	case best.tag.Name == r.current.Name:
		c.Reason = "the current " + r.current.Name + " is the best"
	}
}

// moves says whether to go to the best candidate, and why or why not.
func (r *reading) moves(best candidate, dated, downgrade bool) (move bool, why string) {
	current := r.current.Name
	switch {
	case best.tag.Name == current && best.value.moves && best.tag.Digest != "" && best.tag.Digest != r.current.Digest:
		return true, "points to " + best.tag.Digest + " now"
	case best.tag.Name == current:
		return false, "is the current tag"
	case r.now == nil:
		return true, "is the best"
	}
	switch d := best.value.compare(r.now.key); {
	case d < 0 && !downgrade:
		return false, "is older than the current " + current + ", and allowDowngrade is not set"
	case d == 0 && !(dated && !r.current.Created.IsZero() && best.tag.Created.After(r.current.Created)):
		return false, "is the same version as the current " + current
	case d == 0 && best.tag.Digest != "" && best.tag.Digest == r.current.Digest:
		return false, "is the same image as the current " + current
	}
	return true, "is the best"
}

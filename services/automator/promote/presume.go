package promote

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// errPresumed says that what was decided has to be decided on the branch as it is: no push
// will show whether that is elsewhere by now.
var errPresumed = errors.New("nothing is pushed by which the head shows")

// presume deals with tags that arrived on the head that this replica decided on last, without
// a look at the branch: a push that isn't on top of what the branch has by then is refused,
// and one way to the host and back is saved. It says whether that was all; where anything
// else is to be done than to push, it does nothing.
func (d *Deployer) presume(ctx context.Context, r *Repository, asked asked) (done bool, err error) {
	s := r.worked()
	if !asked.plain || s == nil || r.decided == "" || r.based != r.decided || r.told != r.decided || !r.loader.current(s, r.decided, time.Now()) || len(r.touched(s)) > 0 {
		return false, nil
	}
	asked.presumed = true
	switch err := d.pass(ctx, r, s, asked); {
	case errors.Is(err, errPresumed):
		return false, nil
	case errors.Is(err, gitrepo.ErrMoved):
		d.Log.InfoContext(ctx, "the branch moved: deciding again", "repository", r.Key)
		return false, nil
	default:
		return true, err
	}
}

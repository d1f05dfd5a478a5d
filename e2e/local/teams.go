package local

import "fmt"

// Teams is a world of many config repos: each team has its own, with its
// applications, each of one Deployment without pods and an image of its own.
// The first repo brings them into the cluster.
type Teams struct {
	Repos, Applications int // of each repo
	// Lent has every other team know its repo alone by the first one's documents, whose
	// policies decide for it.
	Lent bool
}

// All gives the names of the applications.
func (t Teams) All() []string {
	var all []string
	for r := range t.Repos {
		for a := range t.Applications {
			all = append(all, t.name(r, a))
		}
	}
	return all
}

func (Teams) name(r, a int) string { return fmt.Sprintf("team-%d-app-%d", r, a) }

// Image is the repository of an application's image.
func (Teams) Image(application string) string { return "shop/" + application }

// Set puts the teams into a world's options.
func (t Teams) Set(o *Options) {
	o.Repos = map[string]func(*World) map[string]string{}
	o.Images = []string{}
	for r := range t.Repos {
		team := fmt.Sprintf("team-%d", r)
		lent := t.Lent && r%2 == 1
		if lent {
			o.Lent = append(o.Lent, team)
		}
		o.Repos[team] = func(w *World) map[string]string {
			files := map[string]string{}
			if !lent {
				files["policies/shop.yaml"] = w.policy()
			}
			for a := range t.Applications {
				name := t.name(r, a)
				files["clusters/local/"+name+".yaml"] = applicationOf(w.RepoURLs[team], name, "apps/"+name)
				files["apps/"+name+"/deployment.yaml"] = Deployment(name, w.Image(t.Image(name), "1.0.0"), 0)
			}
			return files
		}
	}
	o.Files = func(w *World) map[string]string {
		files := w.Base()
		for r := range t.Repos {
			team := fmt.Sprintf("team-%d", r)
			files["clusters/local/"+team+".yaml"] = rootOf(w.RepoURLs[team], team)
		}
		return files
	}
}

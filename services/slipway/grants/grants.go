// Package grants has what each service may do on the bus: the users of a NATS
// server, known by their certificates, each with the least permissions that
// work.
package grants

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// A User of the bus is whoever shows a certificate of that common name.
type User struct {
	// Name is the common name: a service's, or leaf-<cluster> for the server
	// by which a cluster joins.
	Name string
	// Inbox is where its answers come, below _INBOX.
	Inbox string
	// Publish and Subscribe are the subjects it may publish and subscribe to,
	// Never those of Publish that it may not.
	Publish, Subscribe, Never []string
}

// does says what a service does on the bus.
type does struct {
	// consumers are its subscriptions, queues its work, buckets its state that
	// nobody else has.
	consumers, queues, buckets []string
	// looksUp are buckets of which it reads single keys alone.
	looksUp []string
	// aside says that it puts aside what it can't read.
	aside bool
	// reads says that it goes through stored events.
	reads bool
	// keeps says that it brings streams to the settings of a new version.
	keeps bool
}

// services say what each does; what it publishes is in the table of events.
var services = map[string]does{
	"registry-receiver": {aside: true},
	"git-receiver":      {aside: true},
	"automator": {
		consumers: []string{"automator", "automator-refs", "automator-health", "automator-failures"},
		queues:    []string{"automator-images", "automator-repos", "automator-sweeps"},
		looksUp:   []string{"announced"},
		buckets:   []string{"tags", "running", "approvals", "due", "heads", "rollbacks", "pulls"},
		reads:     true, keeps: true,
	},
}

// synchronizer is that of a cluster.
func synchronizer(cluster string) does {
	name := "synchronizer-" + cluster
	return does{consumers: []string{name}, queues: []string{name, name + "-repos"}}
}

// The streams of shared/bus, and the prefixes of their subjects.
var streams = []string{"SLIPWAY", "SLIPWAY_DEAD", "SLIPWAY_REPLAY", "SLIPWAY_WORK"}

const (
	eventStream  = "SLIPWAY"
	deadStream   = "SLIPWAY_DEAD"
	replayStream = "SLIPWAY_REPLAY"
	workStream   = "SLIPWAY_WORK"
	pastBucket   = "slipway-past"
)

// Users are those of a server: the services, with the synchronizer of its own
// cluster, the command, the person who looks after it, and a leaf for each cluster that joins.
func Users(cluster string, joined ...string) []User {
	all := []User{
		service("registry-receiver", "registry-receiver", services["registry-receiver"]),
		service("git-receiver", "git-receiver", services["git-receiver"]),
		service("automator", "automator", services["automator"]),
		service("synchronizer", "synchronizer", synchronizer(cluster)),
		command(),
		operator(),
	}
	all[3].Inbox += "." + cluster
	for _, other := range joined {
		u := service("leaf-"+other, "synchronizer", synchronizer(other))
		u.Inbox += "." + other
		all = append(all, u)
	}
	durables := slices.Clone(services["automator"].consumers)
	for _, c := range append([]string{cluster}, joined...) {
		durables = append(durables, synchronizer(c).consumers...)
	}
	for i := range all {
		u := &all[i]
		u.Subscribe = []string{"_INBOX." + u.Inbox + ".>"}
		if slices.Contains(u.Publish, "$JS.API.CONSUMER.DELETE."+eventStream+".*") {
			u.Never = others(durables, u.Name)
		}
		slices.Sort(u.Publish)
		u.Publish = slices.Compact(u.Publish)
	}
	return all
}

// service gives the user of a service.
func service(name, emitter string, d does) User {
	u := User{Name: name, Inbox: emitter}
	for _, k := range events.Kinds {
		if slices.Contains(k.Emitters, emitter) {
			u.may(events.SubjectPrefix + "." + k.Type.Short() + ".*")
		}
	}
	for _, s := range streams {
		u.may("$JS.API.STREAM.INFO."+s, "$JS.API.STREAM.CREATE."+s)
		if d.keeps {
			u.may("$JS.API.STREAM.UPDATE." + s)
		}
	}
	if d.aside {
		u.may("slipwaydead." + emitter + ".aside.*")
	}
	for _, c := range d.consumers {
		u.consumes(c)
	}
	if len(d.consumers) > 0 {
		u.may("$JS.API.INFO") // which the client asks before it makes a bucket
		u.opens(pastBucket)
	}
	for _, q := range d.queues {
		u.works(q)
	}
	if d.reads {
		u.reads(eventStream, true, true)
	}
	for _, b := range d.looksUp {
		u.keeps("slipway-slipway-" + b)
	}
	for _, b := range d.buckets {
		u.keeps("slipway-slipway-" + b)
		u.follows("slipway-slipway-" + b)
	}
	return u
}

// Where the answers come of those who aren't services: whoever connects as one of
// them must take its inbox.
const (
	CommandInbox  = "slipway-command"
	OperatorInbox = "operator"
)

// command is the user of the command line: it reads what happened.
func command() User {
	u := User{Name: "slipway", Inbox: CommandInbox}
	for _, s := range streams {
		u.may("$JS.API.STREAM.INFO." + s)
	}
	u.reads(eventStream, false, true)
	return u
}

// operator is the user of a person who looks after it: it reads what happened and
// what died, gives dead letters back and takes them off the list.
func operator() User {
	u := User{Name: "operator", Inbox: OperatorInbox}
	for _, s := range streams {
		u.may("$JS.API.STREAM.INFO." + s)
	}
	u.reads(eventStream, false, true)
	u.reads(deadStream, false, true)
	u.may("$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		"$JS.API.STREAM.MSG.GET."+deadStream, "$JS.API.DIRECT.GET."+deadStream, "$JS.API.DIRECT.GET."+deadStream+".>",
		"$JS.API.STREAM.MSG.DELETE."+deadStream, "slipwayreplay.>", "slipwaywork.>")
	return u
}

func (u *User) may(subjects ...string) { u.Publish = append(u.Publish, subjects...) }

// consumes lets it subscribe under that name, and keep what it needs to tell a
// repeat from a crash.
func (u *User) consumes(name string) {
	for _, s := range []string{eventStream, replayStream} {
		at := s + "." + name
		u.may("$JS.API.CONSUMER.INFO."+at, "$JS.API.CONSUMER.CREATE."+at, "$JS.API.CONSUMER.MSG.NEXT."+at, "$JS.ACK."+at+".>")
	}
	key := "$KV." + pastBucket + "." + name + ".>"
	u.may("slipwaydead."+name+".>", key, "$JS.API.DIRECT.GET.KV_"+pastBucket+"."+key)
}

// works lets it put work into its queue and do it.
func (u *User) works(queue string) {
	lease := "slipwaylease." + queue + ".*"
	u.may("slipwaywork."+queue+".>", lease, "$JS.API.DIRECT.GET."+workStream+"."+lease, "slipwaydead."+queue+".>")
	u.reads(workStream, true, false)
}

// reads lets it go through a stream, by consumers that it makes and forgets: of
// several subjects, of one, or of both kinds, which NATS is asked for in two ways.
func (u *User) reads(stream string, several, one bool) {
	for _, verb := range []string{"INFO", "DELETE", "MSG.NEXT"} {
		u.may("$JS.API.CONSUMER." + verb + "." + stream + ".*")
	}
	if several {
		u.may("$JS.API.CONSUMER.CREATE." + stream + ".*")
	}
	if one {
		u.may("$JS.API.CONSUMER.CREATE." + stream + ".*.>")
	}
}

// opens lets it find a bucket, or make it where it is missing.
func (u *User) opens(bucket string) {
	u.may("$JS.API.STREAM.INFO.KV_"+bucket, "$JS.API.STREAM.CREATE.KV_"+bucket)
}

// keeps lets it read and write a bucket's keys, not change its settings nor delete
// it.
func (u *User) keeps(bucket string) {
	u.opens(bucket)
	u.may("$KV."+bucket+".>", "$JS.API.DIRECT.GET.KV_"+bucket+".>")
}

// follows lets it watch a bucket, whose changes the server then pushes.
func (u *User) follows(bucket string) {
	stream := "KV_" + bucket
	u.may("$JS.API.CONSUMER.CREATE."+stream+".*.>", "$JS.API.CONSUMER.DELETE."+stream+".*", "$JS.FC."+stream+".>")
}

// others denies what reads allows of the subscriptions of others.
func others(durables []string, self string) []string {
	var never []string
	for _, d := range durables {
		for _, verb := range []string{"CREATE", "DELETE", "MSG.NEXT"} {
			if verb != "DELETE" && (d == self || strings.HasPrefix(d, self+"-")) {
				continue
			}
			never = append(never, "$JS.API.CONSUMER."+verb+"."+eventStream+"."+d)
			if verb == "CREATE" {
				never = append(never, "$JS.API.CONSUMER."+verb+"."+eventStream+"."+d+".>")
			}
		}
	}
	return never
}

// Config writes the users as NATS reads them: a file to be included.
func Config(users []User) string {
	var b strings.Builder
	b.WriteString("authorization {\n  users = [\n")
	for _, u := range users {
		fmt.Fprintf(&b, "    {\n      user: %q\n      permissions: {\n        publish: {\n", "CN="+u.Name)
		list(&b, "allow", u.Publish)
		list(&b, "deny", u.Never)
		b.WriteString("        }\n        subscribe: {\n")
		list(&b, "allow", u.Subscribe)
		b.WriteString("        }\n      }\n    }\n")
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

func list(b *strings.Builder, name string, subjects []string) {
	if len(subjects) == 0 {
		return
	}
	fmt.Fprintf(b, "          %s: [\n", name)
	for _, s := range subjects {
		fmt.Fprintf(b, "            %q\n", s)
	}
	b.WriteString("          ]\n")
}

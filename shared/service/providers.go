package service

import (
	"fmt"
	"slices"
	"strings"
)

// takers are the receivers with the providers of their sources. Each has only
// its own readers; what a config may name they all know from here.
var takers = []struct {
	service   string
	providers []string
}{
	{"git-receiver", []string{
		"aws-codecommit", "aws-sns", "azure-devops", "bitbucket-cloud", "bitbucket-datacenter", "forgejo", "gitea",
		"gitee", "github", "gitlab", "gogs", "harness",
	}},
	{"registry-receiver", []string{
		"acr", "aliyun-acr", "artifactory", "aws-sns", "azure-eventgrid", "cdevents", "cloudevents", "cloudsmith",
		"distribution", "dockerhub", "ecr", "gar", "generic", "gitea-packages", "github", "gitlab", "harbor", "nexus",
		"oracle-ocir", "quay", "zot",
	}},
}

// Providers are what the provider of a source may be that the service takes,
// in the order of the alphabet.
func Providers(service string) []string {
	for _, t := range takers {
		if t.service == service {
			return slices.Clone(t.providers)
		}
	}
	return nil
}

// unknownProvider says what is wrong with a provider that no receiver takes;
// it is empty for the others.
func unknownProvider(name string) string {
	var all []string
	for _, t := range takers {
		all = append(all, t.providers...)
	}
	if slices.Contains(all, name) {
		return ""
	}
	slices.Sort(all)
	hint := "`slipway providers` lists them"
	if near := nearest(name, slices.Compact(all)); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? " + hint
	}
	return fmt.Sprintf("%q is not known (%s)", name, hint)
}

// nearest are the names of which one was probably meant: those that begin
// alike, else those that are two letters away.
func nearest(name string, known []string) []string {
	name = letters(name)
	var begin, like []string
	for _, k := range known {
		l := letters(k)
		switch {
		case len(name) > 2 && (strings.HasPrefix(l, name) || strings.HasPrefix(name, l)):
			begin = append(begin, k)
		case distance(name, l) <= min(2, len(l)/3):
			like = append(like, k)
		}
	}
	if len(begin) > 0 {
		return begin
	}
	return like
}

// letters leaves out what people write in several ways.
func letters(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// distance is how many letters must be put in, taken out or changed to make
// one word of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

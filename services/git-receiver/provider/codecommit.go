package provider

import (
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// awsCodecommit is AWS CodeCommit by an EventBridge API destination: the API
// key, basic credentials or bearer token of its connection. (By SNS it is
// aws-sns.)
var awsCodecommit = webhook.Provider{
	Name:    "aws-codecommit",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		if len(r.Header.Values("X-Api-Key")) > 0 {
			return webhook.FixedHeader(r.Header, "X-Api-Key", secrets)
		}
		return webhook.Authorization(r.Header, secrets)
	},
	Sign:  webhook.SignFixed("X-Api-Key", ""),
	Parse: parseCodecommit,
	Setup: webhook.Setup{
		Where:  "EventBridge → API destinations → Create; endpoint /hooks/{source}; then a rule for source aws.codecommit with that target and a dead-letter queue.",
		Events: "Detail type CodeCommit Repository State Change.",
		Secret: "Connection: API key with key name X-Api-Key and the source's secret as value, or basic with it as password.",
		Tried:  webhook.Documents,
	},
}

type codecommitEvent struct {
	ID         string       `json:"id"`
	DetailType string       `json:"detail-type"`
	Region     string       `json:"region"`
	Time       webhook.Time `json:"time"`
	Detail     struct {
		Event    string `json:"event"`
		Name     string `json:"repositoryName"`
		Ref      string `json:"referenceFullName"`
		Commit   string `json:"commitId"`
		Old      string `json:"oldCommitId"`
		CallerID string `json:"callerUserArn"`
	} `json:"detail"`
	Records []codecommitRecord `json:"Records"`
}

type codecommitRecord struct {
	EventID    string       `json:"eventId"`
	Time       webhook.Time `json:"eventTime"`
	EventName  string       `json:"eventName"`
	ARN        string       `json:"eventSourceARN"`
	Codecommit struct {
		References []struct {
			Ref     string `json:"ref"`
			Commit  string `json:"commit"`
			Deleted bool   `json:"deleted"`
		} `json:"references"`
	} `json:"codecommit"`
}

func parseCodecommit(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	// A repository trigger by SNS with raw delivery is plain text.
	types := []string{"application/json"}
	if r.Header.Get("X-Amz-Sns-Rawdelivery") == "true" {
		types = append(types, "text/plain")
	}
	if _, err := webhook.MediaType(r, types...); err != nil {
		return d, err
	}
	var e codecommitEvent
	if err := webhook.JSON(r.Body, &e); err != nil {
		return d, err
	}
	d.ID = e.ID
	for _, record := range e.Records {
		d.ID += record.EventID
	}
	err := e.read(&d, s, "aws-codecommit")
	return d, err
}

// read takes an event of EventBridge, or the records of a trigger.
func (e codecommitEvent) read(d *webhook.Delivery, s webhook.Source, provider string) error {
	switch {
	case len(e.Records) > 0:
		for _, record := range e.Records {
			record.read(d, s, provider)
		}
	case e.DetailType == "":
		return fmt.Errorf("%w: detail-type is missing", webhook.ErrBody)
	case e.DetailType != "CodeCommit Repository State Change" || !strings.HasPrefix(e.Detail.Event, "reference"):
		d.Ignore("no reference moved")
	default:
		m := moved{
			provider: provider, repository: codecommitAddress(e.Region, e.Detail.Name), ref: e.Detail.Ref,
			before: e.Detail.Old, after: e.Detail.Commit, pusher: e.Detail.CallerID, at: e.Time.Time,
		}
		if e.Detail.Event == "referenceDeleted" {
			m.before, m.after = e.Detail.Old, ""
		}
		m.add(d, s)
	}
	return nil
}

// read takes a record of a repository trigger: it has no old commit, and its
// repository is the last part of the ARN.
func (r codecommitRecord) read(d *webhook.Delivery, s webhook.Source, provider string) {
	if r.EventName == "TriggerEventTest" {
		d.Ignore("test of the trigger")
		return
	}
	arn := strings.Split(r.ARN, ":")
	if len(arn) != 6 {
		d.Ignore("the record's ARN names no repository")
		return
	}
	for _, ref := range r.Codecommit.References {
		m := moved{provider: provider, repository: codecommitAddress(arn[3], arn[5]), ref: ref.Ref, after: ref.Commit, at: r.Time.Time}
		if ref.Deleted {
			m.before, m.after = ref.Commit, ""
		}
		m.add(d, s)
	}
}

func codecommitAddress(region, name string) string {
	return "https://git-codecommit." + region + ".amazonaws.com/v1/repos/" + name
}

package provider

import (
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// awsSNS is Amazon ECR by SNS: EventBridge's events as messages. (With a host
// of a Git host, a source is the git-receiver's: CodeCommit by SNS.)
var awsSNS = webhook.Provider{
	Name:      "aws-sns",
	MaxBody:   webhook.MiB,
	NoSecrets: true,
	Prove:     webhook.NewSNS(nil, nil).Prove,
	SignBy:    webhook.SignSNS,
	Check:     webhook.CheckSNS,
	Takes:     func(s service.Source) bool { return s.Host == "" },
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return webhook.ParseSNS(r, s, func(message []byte, d *webhook.Delivery) error { return parseECR(message, d, s, "aws-sns") })
	},
	Setup: webhook.Setup{
		Where: "SNS: a topic, SignatureVersion 2, with an HTTPS subscription to /hooks/{source}, without raw delivery: it is confirmed by itself. " +
			"(aws sns set-topic-attributes --topic-arn ARN --attribute-name SignatureVersion --attribute-value 2.) EventBridge: a rule with the event pattern " +
			"{\"source\": [\"aws.ecr\"]} and the topic as target; the topic's access policy lets events.amazonaws.com publish.",
		Events: "Detail types ECR Image Action, ECR Replication Action and ECR Pull Through Cache Action.",
		Secret: "None: SNS signs. The source lists the topics' ARNs as topics, and with signature: v2 refuses SHA-1. (Raw delivery is not signed: give the source a secret, and the subscription the address https://sns:{secret}@…)",
		Tried:  webhook.Documents,
	},
}

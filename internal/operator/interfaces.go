package operator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// interfaceClient makes the one call of EC2's that is needed, DescribeNetworkInterfaces: nothing else tells a task's public address. The SDK's package for EC2, with its 700 calls, takes twice as
// long to compile as all the rest of this program; this is the same request, signed and retried by the SDK.
type interfaceClient struct {
	endpoint    string
	region      string
	http        aws.HTTPClient
	credentials aws.CredentialsProvider
	retryer     aws.Retryer
	signer      *v4.Signer
}

func newInterfaceClient(ctx context.Context, cfg aws.Config, o ecs.Options) (*interfaceClient, error) {
	c := &interfaceClient{
		region:      cfg.Region,
		http:        cfg.HTTPClient,
		credentials: cfg.Credentials,
		retryer:     o.Retryer,
		signer:      v4.NewSigner(),
	}
	if c.http == nil {
		c.http = awshttp.NewBuildableClient()
	}
	switch configured := os.Getenv("AWS_ENDPOINT_URL_EC2"); {
	case configured != "":
		c.endpoint = configured
	case cfg.BaseEndpoint != nil:
		c.endpoint = *cfg.BaseEndpoint
	default:
		// ECS and EC2 name their endpoints alike, in every partition, with FIPS and with IPv6, and ECS's can be asked for.
		found, err := o.EndpointResolverV2.ResolveEndpoint(ctx, ecs.EndpointParameters{
			Region:       aws.String(cfg.Region),
			UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
			UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		})
		if err != nil {
			return nil, fmt.Errorf("region %s: %w", cfg.Region, err)
		}
		rest, ok := strings.CutPrefix(found.URI.Host, "ecs")
		if !ok {
			return nil, fmt.Errorf("region %s: no endpoint of EC2 is known", cfg.Region)
		}
		found.URI.Host = "ec2" + rest
		c.endpoint = found.URI.String()
	}
	return c, nil
}

// filterValues is how many values EC2 takes in one filter.
const filterValues = 200

// publicAddresses returns the public IPv4 address of each of the network interfaces that has one. It is no error when one does not exist any more.
func (c *interfaceClient) publicAddresses(ctx context.Context, ids []string) (map[string]netip.Addr, error) {
	found := map[string]netip.Addr{}
	for len(ids) > 0 {
		n := min(len(ids), filterValues)
		form := url.Values{"Action": {describeInterfaces}, "Version": {"2016-11-15"}, "Filter.1.Name": {"network-interface-id"}}
		for i, id := range ids[:n] {
			form.Set("Filter.1.Value."+strconv.Itoa(i+1), id)
		}
		ids = ids[n:]
		for more := true; more; {
			page, err := c.describe(ctx, form)
			if err != nil {
				return nil, &smithy.OperationError{ServiceID: "EC2", OperationName: describeInterfaces, Err: err}
			}
			for _, item := range page.Items {
				if address, err := netip.ParseAddr(item.PublicIP); err == nil {
					found[item.ID] = address
				}
			}
			form.Set("NextToken", page.NextToken)
			more = page.NextToken != ""
		}
	}
	return found, nil
}

const describeInterfaces = "DescribeNetworkInterfaces"

type interfacePage struct {
	Items []struct {
		ID       string `xml:"networkInterfaceId"`
		PublicIP string `xml:"association>publicIp"`
	} `xml:"networkInterfaceSet>item"`
	NextToken string `xml:"nextToken"`
}

// describe makes the request as often as the SDK's rules say.
func (c *interfaceClient) describe(ctx context.Context, form url.Values) (*interfacePage, error) {
	for attempt := 1; ; attempt++ {
		page, err := c.once(ctx, form.Encode())
		if err == nil || ctx.Err() != nil || !c.retryer.IsErrorRetryable(err) {
			return page, err
		}
		if attempt >= c.retryer.MaxAttempts() {
			return nil, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
		}
		delay, delayErr := c.retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, err
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

// maxAnswer bounds an answer: a page holds at most a thousand interfaces of some 3 kB.
const maxAnswer = 16 << 20

func (c *interfaceClient) once(ctx context.Context, form string) (*interfacePage, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	credentials, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	hash := sha256.Sum256([]byte(form))
	if err := c.signer.SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), "ec2", c.region, time.Now()); err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	if answer.StatusCode != http.StatusOK {
		return nil, &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: answer}, Err: interfaceError(body)}
	}
	page := new(interfacePage)
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(page); err != nil {
		return nil, &smithy.DeserializationError{Err: err, Snapshot: body[:min(len(body), 1024)]}
	}
	return page, nil
}

// interfaceError reads EC2's form of an error, which no other service has.
func interfaceError(body []byte) error {
	var e struct {
		Code    string `xml:"Errors>Error>Code"`
		Message string `xml:"Errors>Error>Message"`
	}
	if err := xml.Unmarshal(body, &e); err != nil || e.Code == "" {
		return &smithy.GenericAPIError{Code: "UnknownError", Message: "an answer that is not EC2's"}
	}
	return &smithy.GenericAPIError{Code: e.Code, Message: e.Message}
}

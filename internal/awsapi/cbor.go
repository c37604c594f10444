package awsapi

import (
	"fmt"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// readCBOR reads arguments that are texts.
func (r *Request) readCBOR(body []byte) error {
	decoded, err := cbor.Decode(body)
	if err != nil {
		return err
	}
	arguments, _ := decoded.(cbor.Map)
	for name, value := range arguments {
		text, is := value.(cbor.String)
		if !is {
			return fmt.Errorf("%s has a value that cannot be read: %T", name, value)
		}
		r.Input[name] = string(text)
	}
	return nil
}

// toCBOR takes what the stand-ins' answers are made of. A time is a tagged number of seconds.
func toCBOR(value any) cbor.Value {
	switch v := value.(type) {
	case map[string]any:
		m := cbor.Map{}
		for name, member := range v {
			m[name] = toCBOR(member)
		}
		return m
	case []any:
		list := cbor.List{}
		for _, member := range v {
			list = append(list, toCBOR(member))
		}
		return list
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(v.UnixMilli()) / 1000)}
	}
	return cbor.String(fmt.Sprint(value))
}

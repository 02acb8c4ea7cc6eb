package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
)

// loopOPCUA subscribes to all items and acknowledges what comes, for so long; it prints the values and the processor time they took.
func loopOPCUA(endpoint string, span time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), span+time.Minute)
	defer cancel()
	c, err := opcua.NewClient(endpoint, opcua.AutoReconnect(false), opcua.SecurityMode(ua.MessageSecurityModeNone), opcua.RequestTimeout(20*time.Second))
	if err != nil {
		return err
	}
	if err := c.Connect(ctx); err != nil {
		return err
	}
	if err := subscribeItems(ctx, c); err != nil {
		return err
	}
	var acks []*ua.SubscriptionAcknowledgement
	values, before, end := 0, time.Duration(0), time.Time{}
	for end.IsZero() || time.Now().Before(end) {
		err := c.Send(ctx, &ua.PublishRequest{SubscriptionAcknowledgements: acks}, func(r ua.Response) error {
			answer, ok := r.(*ua.PublishResponse)
			if !ok {
				return fmt.Errorf("publish: %T", r)
			}
			acks = []*ua.SubscriptionAcknowledgement{{SubscriptionID: answer.SubscriptionID, SequenceNumber: answer.NotificationMessage.SequenceNumber}}
			for _, data := range answer.NotificationMessage.NotificationData {
				if changes, ok := data.Value.(*ua.DataChangeNotification); ok {
					values += len(changes.MonitoredItems)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if end.IsZero() && values >= opcuaItems { // the first values are in
			values, before, end = 0, ownProcessorTime(), time.Now().Add(span)
		}
	}
	fmt.Println(values, (ownProcessorTime() - before).Seconds())
	return c.Close(ctx)
}

func subscribeItems(ctx context.Context, c *opcua.Client) error {
	namespace, err := c.FindNamespace(ctx, plantNamespace)
	if err != nil {
		return err
	}
	var id uint32
	err = c.Send(ctx, &ua.CreateSubscriptionRequest{RequestedPublishingInterval: 1000, RequestedLifetimeCount: 600, RequestedMaxKeepAliveCount: 10, PublishingEnabled: true},
		func(r ua.Response) error {
			answer, ok := r.(*ua.CreateSubscriptionResponse)
			if !ok {
				return fmt.Errorf("create the subscription: %T", r)
			}
			id = answer.SubscriptionID
			return nil
		})
	for i := 0; i < opcuaItems && err == nil; i += 1000 {
		request := &ua.CreateMonitoredItemsRequest{SubscriptionID: id, TimestampsToReturn: ua.TimestampsToReturnBoth}
		for n := i; n < i+1000; n++ {
			item := opcua.NewMonitoredItemCreateRequestWithDefaults(ua.NewStringNodeID(uint16(namespace), fmt.Sprintf("Counter.%d", n)), ua.AttributeIDValue, uint32(n))
			item.RequestedParameters.SamplingInterval, item.RequestedParameters.QueueSize = 1000, 600
			request.ItemsToCreate = append(request.ItemsToCreate, item)
		}
		err = c.Send(ctx, request, func(ua.Response) error { return nil })
	}
	return err
}

func ownProcessorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

/**
 * Carries a webhook to its address. Refuses, with `forbidden`, addresses that lie in private networks; follows no
 * redirect. Any HTTP status is a result; `unavailable` or `timeout` when there was none.
 */
export interface WebhookSender {
  send(request: WebhookRequest, signal: AbortSignal): Promise<{ status: number }>;
}

export interface WebhookRequest {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: string;
}

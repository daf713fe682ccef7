/** The narrowest rule that allows this connection: the host itself, with its port where that is not the web's. */
export function ruleFor({ host, port }: { host: string; port: number }): string {
  return port === 80 || port === 443 ? host : `${host}:${port}`;
}

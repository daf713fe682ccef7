/** Tells once per outage that the connection is lost, however often it is tried again. */
export function createOutageNotice(say: (line: string) => void): { lost(): void; back(): void } {
  let away = false;
  return {
    lost() {
      if (!away) say('connection lost; trying again until it is back (the session goes on)');
      away = true;
    },
    back() {
      away = false;
    },
  };
}

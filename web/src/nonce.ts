/** The nonce that this answer's content policy allows style elements by. */
function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
}

/**
 * Libraries make style elements (the terminal, the scroll lock of dialogs) and know nothing of nonces; here each one gets
 * it as it is made. And the terminal writes `style` attributes, which the policy refuses as text but allows
 * through the object model. Remove when xterm.js takes a nonce.
 */
export function allowOwnStyles(): void {
  const nonce = styleNonce();
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions): HTMLElement => {
    const element = create(name, options);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  }) as typeof document.createElement;

  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (this: Element, name: string, value: string): void {
    if (name === 'style' && this instanceof HTMLElement) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}

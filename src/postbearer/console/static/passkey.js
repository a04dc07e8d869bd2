// Passkeys: the browser makes or shows one, and its form goes on as any other.
"use strict";
(() => {
  const able = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("button");
    const why = form.querySelector(".passkey-why");
    if (!able || !window.isSecureContext) continue;
    button.disabled = false;
    why.textContent = "";
    form.addEventListener("submit", async (event) => {
      if (form.elements.passkey.value) return;
      event.preventDefault();
      button.disabled = true;
      why.textContent = "Your browser asks for it now.";
      try {
        const given = JSON.parse(form.dataset.passkey);
        const credential = form.dataset.makes
          ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(given) })
          : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(given) });
        form.elements.passkey.value = JSON.stringify(credential.toJSON());
        form.requestSubmit();
      } catch (error) {
        button.disabled = false;
        why.textContent = error.name === "InvalidStateError"
          ? "This device has a passkey for you already."
          : error.name === "SecurityError"
            ? "Passkeys need an address by name, with TLS; or localhost."
            : "It was not done: the browser was told no, or waited too long.";
      }
    });
  }
})();
